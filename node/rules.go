package node

import (
	"context"
	"errors"
	"fmt"

	"entente/policy"
	"entente/protocol"
)

// The operator's own rules are read at the start, where ones that do not load
// stop it: a node that does not know what its operator keeps back must share
// nothing. Later ones that do not load leave those of before in force.

// rulebook is what decisions are made by beside the documents. Owned by Node.docs.
type rulebook struct {
	compiled map[protocol.Hash]ruled
	local    *protocol.LocalRules // nil: none
	fault    error                // why those that the operator has by now do not load
}

// RulesInfo tells about the operator's own rules. What they say is for the
// operator alone.
type RulesInfo struct {
	Hash       string           `json:"hash,omitempty"` // SHA-256 of their text; empty: there are none
	Title      string           `json:"title,omitempty"`
	Clauses    int              `json:"clauses"`
	Changed    bool             `json:"changed,omitzero"` // by this loading
	Unresolved []UnresolvedWord `json:"unresolved"`       // words that name nothing here
}

// UnresolvedWord is a word of local rules that no agreement has which they bind.
type UnresolvedWord struct {
	Clause string `json:"clause"`
	Line   int    `json:"line"`
	Text   string `json:"text"`
}

// readRules reads the rules as the operator has them now; nil are none.
func (n *Node) readRules() (*protocol.LocalRules, error) {
	if n.cfg.Rules == nil {
		return nil, nil
	}
	text, err := n.cfg.Rules()
	if err != nil || text == nil {
		return nil, err
	}
	return protocol.ParseLocalRules(text)
}

// startRules loads the rules for the first time.
func (n *Node) startRules() error {
	rules, err := n.readRules()
	if err != nil {
		return protocol.E(protocol.KindOf(err), "load the local rules", err, "the node does not start without them: put them right, then: entente policy check")
	}
	last, err := n.cfg.Store.Setting(rulesSetting)
	if err != nil {
		return err
	}
	if rules == nil && len(last) > 0 && !n.cfg.NoRules {
		return protocol.E(protocol.Conflict, "load the local rules", fmt.Errorf("there are none, and when the node last ran there were some, of SHA-256 %s", last),
			"put their file back (entente paths), or start without: entente up --no-local-rules")
	}
	n.book.local = rules
	if rules != nil || len(last) > 0 {
		n.noteRules(nil, nil)
	}
	return nil
}

// rulesSetting is the hash of the rules that were in force last. A file that is
// gone, by a slip or with a disk that is not there, must not widen anything.
const rulesSetting = "local-rules"

// rememberRules writes down which rules are in force.
func (n *Node) rememberRules() error {
	n.docs.Lock()
	defer n.docs.Unlock()
	return n.keepRules()
}

// keepRules is rememberRules for callers that hold n.docs.
func (n *Node) keepRules() error {
	var hash []byte
	if n.book.local != nil {
		hash = []byte(n.book.local.Hash.String())
	}
	last, err := n.cfg.Store.Setting(rulesSetting)
	if err != nil || string(last) == string(hash) {
		return err
	}
	return n.cfg.Store.SetSetting(rulesSetting, hash)
}

// ReloadRules takes the operator's rules as they are now, for all that is decided
// from then on. Where they do not load those of before stay in force, a finding
// says so until they do, and the error says what is wrong and where.
func (n *Node) ReloadRules(_ context.Context) (RulesInfo, error) {
	const op = "load the local rules"
	n.docs.Lock()
	defer n.docs.Unlock()
	before := n.book.local
	rules, err := n.readRules()
	if err == nil && hashOfRules(rules) != hashOfRules(before) {
		n.book.local = rules
		if err = n.rebuild(); err != nil {
			n.book.local = before
		}
	}
	n.book.fault = err
	if err != nil {
		n.noteRules(before, err)
		return RulesInfo{}, protocol.E(protocol.KindOf(err), op, err, "the rules of before stay in force; put the file right, then: entente policy reload")
	}
	info := n.world.Load().rulesInfo(rules)
	if info.Changed = hashOfRules(rules) != hashOfRules(before); info.Changed {
		n.noteRules(before, nil)
		err = errors.Join(n.updateNetworks(), n.keepRules())
	}
	return info, err
}

// hashOfRules is zero for none.
func hashOfRules(rules *protocol.LocalRules) protocol.Hash {
	if rules == nil {
		return protocol.Hash{}
	}
	return rules.Hash
}

// noteRules writes down which rules are in force from now on, or that others
// did not load.
func (n *Node) noteRules(before *protocol.LocalRules, fault error) {
	row := protocol.AuditRow{Kind: protocol.AuditNode, Action: "rules", Outcome: "ok", Reason: protocol.AuditReason{Layer: policy.Local.String()}}
	say := func(rules *protocol.LocalRules) string {
		if rules == nil {
			return "no local rules"
		}
		return quantity(len(rules.Clauses), "local rule") + " of SHA-256 " + rules.Hash.String()
	}
	switch {
	case fault != nil:
		row.Outcome = "failed"
		row.Reason.Text = say(before) + " stay in force; the newer ones do not load: " + oneLine(fault)
	case before != nil:
		row.Reason.Text = say(n.book.local) + " in place of " + say(before)
	default:
		row.Reason.Text = say(n.book.local)
	}
	n.note(row)
}

// oneLine is an error without its excerpt.
func oneLine(err error) string {
	var fault *protocol.FaultError
	if errors.As(err, &fault) {
		return fmt.Sprintf("line %d, column %d: %s", fault.Line, fault.Column, fault.Text)
	}
	return err.Error()
}

// rulesInfo tells about rules under the agreements of this world.
func (w *world) rulesInfo(rules *protocol.LocalRules) RulesInfo {
	info := RulesInfo{Unresolved: []UnresolvedWord{}}
	if rules == nil {
		return info
	}
	info.Hash, info.Title, info.Clauses = rules.Hash.String(), rules.Title, len(rules.Clauses)
	var known []*protocol.Agreement
	for _, g := range w.agreements {
		if len(g.acting) > 0 {
			known = append(known, g.acting...)
		} else if g.doc != nil {
			known = append(known, g.doc)
		}
	}
	for _, u := range policy.Resolve(rules, known) {
		info.Unresolved = append(info.Unresolved, UnresolvedWord(u))
	}
	return info
}

// rulesFindings says what is wrong with the operator's rules.
func (n *Node) rulesFindings(w *world, s *Status) []Finding {
	n.docs.Lock()
	fault := n.book.fault
	n.docs.Unlock()
	if w.local != nil {
		info := w.rulesInfo(w.local)
		s.Rules = &info
	}
	var out []Finding
	switch now, err := n.readRules(); {
	case fault != nil:
		out = append(out, Finding{Code: "rules-not-loaded", Severity: Warning, Hint: "put them right (entente policy check), then: entente policy reload",
			Text: "the local rules did not load, and those of before stay in force: " + oneLine(fault)})
	case err != nil:
		out = append(out, Finding{Code: "rules-broken", Severity: Warning, Hint: "put them right: entente policy check",
			Text: "the local rules were changed, and would not load at the next start: " + oneLine(err)})
	case hashOfRules(now) != hashOfRules(w.local):
		out = append(out, Finding{Code: "rules-changed", Severity: Warning, Hint: "entente policy reload",
			Text: "the local rules were changed, and those of before are in force"})
	}
	if s.Rules != nil && len(w.agreements) > 0 {
		for _, u := range s.Rules.Unresolved {
			out = append(out, Finding{Code: "rules-unresolved", Severity: Warning, Hint: "see whether a name is misspelt: entente policy check",
				Text: fmt.Sprintf("clause %s of the local rules (line %d): %s", u.Clause, u.Line, u.Text)})
		}
	}
	return out
}

// localClause returns the text of a local clause as the rules in force have it.
func (w *world) localClause(number string) (string, bool) {
	if w.local != nil {
		for _, c := range w.local.Clauses {
			if c.Number == number {
				return c.Text, true
			}
		}
	}
	return "", false
}
