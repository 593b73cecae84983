package node

import (
	"context"
	"slices"
	"time"

	"entente/protocol"
)

// ScoreInfo tells what one contribution of an agreement asks for, and how its
// parties stand.
type ScoreInfo struct {
	Contribution string      `json:"contribution"`
	Text         string      `json:"text"`            // as the agreement has it
	Topics       []string    `json:"topics"`          // where objects count; none: everywhere
	Types        []string    `json:"types"`           // which count; none: all
	Objects      int         `json:"objects"`         // how many are needed
	Within       string      `json:"within"`          // "90 days"
	Signers      int         `json:"signers"`         // how many other parties must sign a score
	Entitles     string      `json:"entitles"`        // for how long
	Grace        string      `json:"grace,omitempty"` // for how long without a score at first
	Clauses      []string    `json:"clauses"`         // that ask for it
	Parties      []PartyGave `json:"parties"`
}

// PartyGave tells how a party stands by a contribution.
type PartyGave struct {
	Party    string        `json:"party"`
	Given    int           `json:"given"`             // as this node counts now; its own count, that nobody has signed
	Most     bool          `json:"most,omitzero"`     // it stopped counting there
	Signed   []SignedScore `json:"signed"`            // the scores that run, the latest first
	Entitled bool          `json:"entitled"`          // now
	Until    time.Time     `json:"until,omitzero"`    // and until when
	Grace    bool          `json:"grace,omitzero"`    // without scores, for a beginning
	Barred   string        `json:"barred,omitempty"`  // why it gets nothing, whatever it gave
	Missing  int           `json:"missing,omitzero"`  // objects that it has not given yet
	Unsigned int           `json:"unsigned,omitzero"` // scores that it still needs
}

// SignedScore is a score that runs.
type SignedScore struct {
	By       string    `json:"by"` // handle
	Count    uint64    `json:"count"`
	Time     time.Time `json:"time"`
	Until    time.Time `json:"until"`
	Frontier string    `json:"frontier"` // digest of the logs that were counted
}

// scoreMost is how far a scoreboard counts at most.
const scoreMost = 10_000

// scoreNear is how long before its end an entitlement is told of.
const scoreNear = 7 * 24 * time.Hour

// Scoreboard tells what the parties of an agreement have given, by each of its
// contributions: as this node counts, and as they have signed.
//
// Errors: NotFound for an unknown agreement.
func (n *Node) Scoreboard(ctx context.Context, agreement string) ([]ScoreInfo, error) {
	w, now := n.world.Load(), n.now()
	g, err := w.agreement(agreement)
	if err != nil {
		return nil, err
	}
	running := n.runningScores(w, g)
	var wanted []scored
	for _, c := range g.doc.Scores {
		for _, p := range g.doc.Parties {
			wanted = append(wanted, scored{p.ID, c.Name})
		}
	}
	t, err := n.tally(ctx, g, wanted, scoreMost)
	if err != nil {
		return nil, err
	}
	out := []ScoreInfo{}
	for _, c := range g.doc.Scores {
		info := ScoreInfo{
			Contribution: c.Name, Text: c.Text, Topics: slices.Concat([]string{}, c.Topics), Types: slices.Concat([]string{}, c.Types), Objects: c.Objects,
			Within: c.Within.String(), Signers: c.Signers, Entitles: c.Entitles.String(), Grace: c.Grace.String(), Clauses: []string{},
		}
		for _, clause := range g.doc.Clauses {
			if clause.If.Contribution == c.Name {
				info.Clauses = append(info.Clauses, clause.Number)
			}
		}
		for _, p := range g.doc.Parties {
			about := scored{p.ID, c.Name}
			given := PartyGave{Party: p.Handle, Given: t.count(about), Most: t.given[about].count >= t.given[about].most, Signed: []SignedScore{}}
			given.Until, given.Grace = w.entitlement(g, &c, p.ID, running[about])
			if given.Entitled = now.Before(given.Until); !given.Entitled {
				given.Until, given.Grace = time.Time{}, false
			}
			if h, halted := g.halted[p.ID]; halted {
				given.Barred = h.text
			}
			for _, s := range running[about] {
				claim := s.Claim()
				if until := c.Entitles.After(claim.Time); now.Before(until) && g.voidScore(claim) == nil && w.verify(s) == nil {
					given.Signed = append(given.Signed, SignedScore{w.readerNameIn(g, claim.Member), claim.Count, claim.Time, until, claim.Frontier.String()})
				}
			}
			given.Missing, given.Unsigned = max(0, c.Objects-given.Given), max(0, c.Signers-len(given.Signed))
			info.Parties = append(info.Parties, given)
		}
		out = append(out, info)
	}
	return out, nil
}

func (n *Node) runningScores(w *world, g *governing) map[scored][]*protocol.SealedStatement {
	n.docs.Lock()
	defer n.docs.Unlock()
	said := n.said[g.doc.ID]
	if said == nil {
		return nil
	}
	return w.running(g, said)
}

// scoreFindings warns of what this member does not read, or soon will not, because
// of what it has not given.
func (n *Node) scoreFindings(w *world, now time.Time, add func(code string, severity Severity, hint, format string, args ...any)) {
	for _, g := range w.agreements {
		if len(g.doc.Scores) == 0 || !g.inForce() || !g.stands(w.self) {
			continue
		}
		running := n.runningScores(w, g)
		for _, c := range g.doc.Scores {
			if !slices.ContainsFunc(g.doc.Clauses, func(clause protocol.Clause) bool {
				return clause.If.Contribution == c.Name && clause.To.Names(g.doc.Party(w.self))
			}) {
				continue
			}
			until, _ := w.entitlement(g, &c, w.self, running[scored{w.self, c.Name}])
			switch left := until.Sub(now); {
			case left <= 0:
				add("contribution-missing", Info, "entente scoreboard "+g.doc.Name, "what %s gives to those who contribute by %q this member does not get: it has given less than %s within %s, or too few parties have signed that it has",
					g.doc.Name, c.Name, quantity(c.Objects, "object"), c.Within)
			case left < scoreNear:
				add("contribution-ending", Info, "entente scoreboard "+g.doc.Name, "by the contribution %q of %s this member is entitled for %s more", c.Name, g.doc.Name, days(left))
			}
		}
	}
}
