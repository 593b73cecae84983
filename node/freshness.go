package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"entente/protocol"
)

// A node that is cut off may go on under a version that the others have replaced.
// So every party states daily, and when it changes, which version it holds as the
// newest. A version counts as current here while two other parties (one, where there
// is but one) have stated so within the last seven days, or while this node has held
// it for less than seven days itself. Else only what is TLP:CLEAR passes, either way,
// until they do. The statements are in the logs like all others; the day on which a
// version was first held is kept beside them.

const (
	freshFor   = 7 * 24 * time.Hour // how long a statement counts
	freshEvery = 24 * time.Hour     // how often a party states it
	freshLook  = time.Hour          // how often is looked what is due, when nothing else says so
	freshSoon  = 10 * time.Second   // within which a change is stated
)

// holding says since when this node has held the version that counts.
type holding struct {
	Head  protocol.Hash `json:"head"`
	Since time.Time     `json:"since"`
	Later bool          `json:"later,omitzero"` // another version counted here before
	kept  bool          // it is on disk
}

func holdingName(agreement protocol.AgreementID) string { return "holding/" + agreement.String() }

// vouched reports whether an agreement is one that must be vouched for: in force, and
// private, since in a public one only what is CLEAR passes anyway.
func (g *governing) vouched() bool { return g.party && !g.public() && g.inForce() }

// refresh settles whether the version that counts is current. The caller holds n.docs.
func (n *Node) refresh(w *world, g *governing, said *statements, now time.Time) error {
	g.stale, g.fresh = false, time.Time{}
	if !g.vouched() {
		return nil
	}
	if err := n.hold(g, said, now); err != nil {
		return err
	}
	g.fresh = said.holding.Since.Add(freshFor)
	need, times := w.vouchers(g, said)
	if need == 0 {
		return nil
	}
	if len(times) >= need {
		if until := times[need-1].Add(freshFor); until.After(g.fresh) {
			g.fresh = until
		}
	}
	g.stale = !now.Before(g.fresh)
	w.change(g.fresh, now)
	return nil
}

// hold notes since when the version that counts has done so.
func (n *Node) hold(g *governing, said *statements, now time.Time) error {
	if said.holding.Since.IsZero() {
		kept, err := n.cfg.Store.Setting(holdingName(g.doc.ID))
		if err != nil {
			return err
		}
		if kept != nil {
			if err := json.Unmarshal(kept, &said.holding); err != nil {
				// Nobody knows since when: it must be vouched for at once.
				n.cfg.Logger.Error("since when a version counts cannot be read", "agreement", g.doc.Name, "err", err)
				said.holding = holding{Head: g.doc.Hash, Since: time.Unix(0, 0).UTC(), Later: true}
			}
			said.holding.kept = true
		}
	}
	if said.holding.Head != g.doc.Hash {
		said.holding = holding{Head: g.doc.Hash, Since: now, Later: !said.holding.Since.IsZero()}
		n.tell(n.mind)
	}
	return nil
}

// vouchers returns how many other parties must vouch for the version that counts, and
// when those did who have, the latest first: as many as are needed.
func (w *world) vouchers(g *governing, said *statements) (need int, times []time.Time) {
	var found []*spoken
	for _, p := range g.doc.Parties {
		if _, halted := g.halted[p.ID]; halted || p.ID == w.self || !g.stands(p.ID) {
			continue
		}
		need++
		key := statementKey{kind: protocol.Freshness, member: p.ID}
		if s, ok := said.last[key]; ok && s.sealed.Claim().Head == g.doc.Hash {
			found = append(found, &s)
		}
	}
	need = min(need, 2)
	slices.SortFunc(found, func(a, b *spoken) int { return b.sealed.Claim().Time.Compare(a.sealed.Claim().Time) })
	for _, s := range found {
		if len(times) == need {
			break
		}
		if w.verify(s.sealed) == nil {
			times = append(times, s.sealed.Claim().Time)
		}
	}
	return need, times
}

// reconsider hears what was stated, and makes a new world where that changes whether
// a version is current.
func (n *Node) reconsider() error {
	changed, err := n.turned()
	if err != nil || !changed {
		return err
	}
	return n.renew()
}

func (n *Node) turned() (bool, error) {
	n.docs.Lock()
	defer n.docs.Unlock()
	w, now := n.world.Load(), n.now()
	if err := n.hear(w); err != nil {
		return false, err
	}
	for id, g := range w.agreements {
		probe, scratch := *g, world{self: w.self, members: w.members}
		if err := n.refresh(&scratch, &probe, n.said[id], now); err != nil {
			return false, err
		}
		if probe.stale != g.stale {
			return true, nil
		}
	}
	return false, nil
}

// follow notes which agreements have turned with a new world, and asks for what was
// put off while one was not current.
func (n *Node) follow(before, after *world) {
	for id, g := range after.agreements {
		old := before.agreements[id]
		if old == nil || old.stale == g.stale {
			continue
		}
		row := protocol.AuditRow{Kind: protocol.AuditDocument, Action: "vouch", Outcome: "ok", Agreement: id, Version: g.doc.Version,
			Reason: protocol.AuditReason{Layer: "agreement", Text: fmt.Sprintf("version %d of %s is vouched for again", g.doc.Version, g.doc.Name)}}
		if g.stale {
			row.Outcome, row.Reason.Text = "refuse", g.staleText()
		}
		n.note(row)
		if !g.stale && g.inForce() {
			n.resync(after, id)
		}
	}
}

// staleText says why only what is CLEAR passes.
func (g *governing) staleText() string {
	return fmt.Sprintf("nobody has vouched since %s that version %d of %s is the newest, so only TLP:CLEAR passes under it", minute(g.fresh.Add(-freshFor)), g.doc.Version, g.doc.Name)
}

// defers reports whether a message is put off: it bears more than CLEAR, and the
// version that counts is not current. It is neither taken nor passed on, and comes
// again by sync.
func (g *governing) defers(h protocol.Header) bool {
	return g.stale && h.Content != protocol.Control && h.Marking != protocol.Clear
}

// vouch states what is due, as long as the node runs.
func (n *Node) vouch(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-n.mind:
		}
		next, err := n.stateHeads(ctx)
		if err != nil && ctx.Err() == nil {
			// A full disk, mostly; the others go on for a week without.
			n.cfg.Logger.Warn("which version is held could not be stated", "err", err)
		}
		timer.Reset(max(next.Sub(n.now()), time.Second))
	}
}

// stateHeads states what is due and returns when to look again.
func (n *Node) stateHeads(ctx context.Context) (time.Time, error) {
	now := n.now()
	next := now.Add(freshLook)
	due, err := n.dueHeads(now, &next)
	for _, g := range due {
		if err != nil {
			break
		}
		err = n.publishStatements(ctx, g, protocol.AgreementTopic, protocol.Statement{
			Kind: protocol.Freshness, Agreement: g.doc.ID, Version: g.doc.Version, Head: g.doc.Hash, Member: n.cfg.Member, Time: now.Truncate(time.Microsecond),
		})
	}
	return next, err
}

// dueHeads returns the agreements whose version is to be stated now, and keeps since
// when they are held. next comes forward to when the next one is due.
func (n *Node) dueHeads(now time.Time, next *time.Time) (due []*governing, err error) {
	n.docs.Lock()
	defer n.docs.Unlock()
	w := n.world.Load()
	if err := n.hear(w); err != nil {
		return nil, err
	}
	for id, g := range w.agreements {
		said := n.said[id]
		if !g.vouched() || !g.stands(n.cfg.Member) || said.holding.Head != g.doc.Hash {
			continue
		}
		if !said.holding.kept {
			text, err := json.Marshal(said.holding)
			if err == nil {
				err = n.cfg.Store.SetSetting(holdingName(id), text)
			}
			if err != nil {
				return nil, err
			}
			said.holding.kept = true
		}
		if _, halted := g.halted[n.cfg.Member]; halted || !w.mayState(now) {
			continue
		}
		if at := n.stateAt(g, said); at.After(now) {
			if at.Before(*next) {
				*next = at
			}
		} else {
			due = append(due, g)
		}
	}
	return due, nil
}

// stateAt returns when this member states next which version it holds. One that has
// just come into force for the first time is not stated by all at once: its parties
// have a week, and each has its own hour in the first day.
func (n *Node) stateAt(g *governing, said *statements) time.Time {
	spread := func(within time.Duration) time.Duration {
		var at uint64
		for i := range 8 {
			at = at<<8 | uint64(g.doc.ID[i]^n.cfg.Member[i])
		}
		return time.Duration(at % uint64(within))
	}
	if s, ok := said.last[statementKey{kind: protocol.Freshness, member: n.cfg.Member}]; ok {
		if claim := s.sealed.Claim(); claim.Head == g.doc.Hash {
			return claim.Time.Add(freshEvery)
		}
	}
	if said.holding.Later {
		return said.holding.Since.Add(spread(freshSoon))
	}
	return said.holding.Since.Add(spread(freshEvery))
}

// mayState reports whether this member has an operations key for now: a statement
// under one that has run out counts nowhere.
func (w *world) mayState(now time.Time) bool {
	m := w.members[w.self]
	return m != nil && now.Before(m.latest().Operations.Until)
}

// onlyFreshness reports whether a message of statements changes nothing but whether
// versions are current.
func onlyFreshness(m *protocol.Message) bool {
	for i := range m.Header().Objects {
		sealed, err := protocol.DecodeStatement(m.Object(i))
		if err != nil || sealed.Claim().Kind != protocol.Freshness {
			return false
		}
	}
	return true
}
