package node

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"entente/policy"
	"entente/protocol"
)

// A decision can be made again from what it rested on (Replay). That is written
// into the audit log once, as a basis, whenever it has changed; the rows of
// decisions name it by its hash.

// casesMost is how many objects that differ for policy one row keeps; the row
// counts all.
const casesMost = 64

// basisOf gathers what the decisions of a world rest on.
func (n *Node) basisOf(w *world) protocol.AuditBasis {
	b := protocol.AuditBasis{Member: w.self, Encrypted: n.cfg.Encrypted}
	if w.local != nil {
		b.Rules = w.local.Text
	}
	for _, m := range w.members {
		if len(m.records) > 0 {
			b.Documents = append(b.Documents, m.records[len(m.records)-1].parsed.Hash)
		}
		if p := m.profile(); p != nil {
			b.Documents = append(b.Documents, p.Hash)
		}
	}
	slices.SortFunc(b.Documents, func(x, y protocol.Hash) int { return bytes.Compare(x[:], y[:]) })
	for _, id := range slices.SortedFunc(maps.Keys(w.agreements), func(x, y protocol.AgreementID) int { return bytes.Compare(x[:], y[:]) }) {
		b.Agreements = append(b.Agreements, n.standingOf(w.agreements[id]))
	}
	return b
}

// standingOf tells how one agreement stands.
func (n *Node) standingOf(g *governing) protocol.BasisAgreement {
	a := protocol.BasisAgreement{ID: g.doc.ID, Version: g.doc.Hash, State: g.state, Terminated: g.terminated}
	if g.ruled() {
		for _, v := range g.acting {
			a.Acting = append(a.Acting, v.Hash)
		}
		facts := n.book.compiled[g.doc.Hash].facts
		a.ClearOnly = facts.ClearOnly
		for name, parties := range facts.Entitled {
			for member, until := range parties {
				a.Entitled = append(a.Entitled, protocol.BasisEntitled{Name: name, Member: member, Until: until})
			}
		}
	}
	for member, h := range g.halted {
		a.Halted = append(a.Halted, protocol.BasisHalt{Member: member, Until: h.until, Text: h.text})
	}
	slices.SortFunc(a.Entitled, func(x, y protocol.BasisEntitled) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), bytes.Compare(x.Member[:], y.Member[:]))
	})
	slices.SortFunc(a.Halted, func(x, y protocol.BasisHalt) int { return bytes.Compare(x.Member[:], y.Member[:]) })
	return a
}

// settleBasis makes the basis of a new world.
func (n *Node) settleBasis(w *world) error {
	var err error
	w.basis, w.basisHash, err = protocol.EncodeAuditBasis(n.basisOf(w))
	return err
}

// keepBasis writes down what a world's decisions rest on, before the first of them
// that is recorded. Where that fails the rows cannot be written either.
func (n *Node) keepBasis(ctx context.Context, w *world) {
	if held := n.basisKept.Load(); held != nil && *held == w.basisHash {
		return
	}
	if _, err := n.cfg.Store.Basis(w.basisHash); err != nil {
		row := protocol.AuditRow{
			Time: n.now(), Kind: protocol.AuditNode, Action: "basis", Outcome: "ok", Count: len(w.agreements), Basis: w.basisHash,
			Kept:   &protocol.AuditKept{Basis: w.basis},
			Reason: protocol.AuditReason{Text: "what decisions rest on from now on, to make them again: entente audit replay"},
		}
		if err := n.cfg.Store.Audit(ctx, row); err != nil {
			n.cfg.Logger.Warn("what decisions rest on could not be written down", "err", err)
			return
		}
	}
	n.basisKept.Store(&w.basisHash)
}

// caseList gathers what a row keeps of the objects that it is about.
type caseList struct {
	list []protocol.AuditCase
	at   map[protocol.AuditCase]int
	many int // cases, without their origins
}

// add counts an object among those alike; of the first most that differ.
func (l *caseList) add(most int, c protocol.AuditCase, origins ...policy.Origin) {
	if l.at == nil {
		l.at = map[protocol.AuditCase]int{}
	}
	at, ok := l.at[c]
	switch {
	case ok && len(origins) == 0:
		l.list[at].Count++
		return
	case l.many >= most:
		return
	case len(origins) == 0:
		l.at[c] = len(l.list)
	}
	l.many++
	c.Count = 1
	l.list = append(l.list, c)
	for _, o := range origins {
		from := caseOf(o.Subject)
		from.Origin, from.Agreement, from.Topic, from.Author = true, o.Agreement, o.Topic, o.Author
		l.list = append(l.list, from)
	}
}

// kept is what a row keeps, nil where that is nothing.
func (l *caseList) kept(purpose string) *protocol.AuditKept {
	if len(l.list) == 0 && purpose == "" {
		return nil
	}
	return &protocol.AuditKept{Purpose: purpose, Cases: l.list}
}

// caseOf is a subject as a row keeps it.
func caseOf(s policy.Subject) protocol.AuditCase {
	return protocol.AuditCase{
		Type: s.Type, Marking: s.Marking, PAP: s.PAP, Problem: s.Problem, Classes: s.Classes, Inherent: s.Inherent,
		Context: s.Context, Confidence: s.Confidence, Modified: s.Modified, Version: s.Version,
	}
}

// subjectOf is caseOf, backwards.
func subjectOf(c protocol.AuditCase) policy.Subject {
	return policy.Subject{
		Type: c.Type, Marking: c.Marking, PAP: c.PAP, Problem: c.Problem, Classes: c.Classes, Inherent: c.Inherent,
		Context: c.Context, Confidence: c.Confidence, Modified: c.Modified, Version: c.Version,
	}
}

// shownBy is how many objects one decision let through, and what they were.
type shownBy struct {
	count int
	cases caseList
}

// shown counts an object that the reader gets, by what let it.
func (r *reading) shown(d policy.Decision, log protocol.LogID, s policy.Subject) {
	r.allowed++
	d.Marking, d.Expires = protocol.NoMarking, time.Time{}
	by := r.why[d]
	if by == nil {
		by = &shownBy{}
		r.why[d] = by
	}
	by.count++
	c := caseOf(s)
	c.Agreement, c.Topic, c.Author = log.Agreement, log.Lane.Topic, log.Author.Member
	by.cases.add(casesMost, c)
}

// kept is what a row keeps of an object that did not go out.
func (c *candidate) kept() protocol.AuditCase {
	out := caseOf(c.subject)
	out.CreatedBy = c.creator
	if c.kind == "identity" {
		out.ID = c.id // it may be somebody's own
	}
	return out
}
