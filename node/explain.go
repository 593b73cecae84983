package node

import (
	"context"
	"fmt"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
)

// ExplainObject tells what was decided about an object, as recorded, and what
// would be decided now for every reader of the topics that it is on. party may
// name one reader (a handle, an id, "public").
func (n *Node) ExplainObject(ctx context.Context, id, party string) (Explanation, error) {
	w := n.world.Load()
	out := Explanation{Question: "Who may have " + id + ", and what was decided about it?"}
	var only protocol.MemberID
	if party != "" && party != publicReader {
		m, err := w.memberNamed(party)
		if err != nil {
			return out, err
		}
		only = m
	}
	if party != "" {
		out.Question = fmt.Sprintf("May %s have %s, and what was decided about it?", party, id)
	}
	err := n.Audit(ctx, AuditQuery{Object: id, Limit: 200}, func(e AuditEntry) bool {
		if e.Kind == string(protocol.AuditDecision) {
			out.Recorded = append(out.Recorded, e)
		}
		return true
	})
	if err != nil {
		return out, err
	}
	if out.MadeFrom, out.MadeInto, err = n.made(ctx, id); err != nil {
		return out, err
	}
	versions, err := n.cfg.Store.Get(id)
	if err != nil {
		return out, err
	}
	asked := map[answerKey]bool{}
	for _, v := range versions {
		g := w.agreements[v.Log.Agreement]
		if g == nil || !w.counts(g, v.Log, v.Sequence) {
			continue
		}
		o := v.Object
		o.Level = stix.LevelOf(o, func(id string) *stix.Object { return n.marks.get(n, id) })
		for _, reader := range g.everyone(v.Log.Lane.Topic) {
			if (party == publicReader && !reader.IsZero()) || (!only.IsZero() && reader != only) {
				continue
			}
			d := n.decideFor(w, reader, v.Log, policy.SubjectOf(o)).Alike()
			key := answerKey{reader, v.Log.Agreement, v.Log.Lane.Topic, d}
			if asked[key] {
				continue
			}
			asked[key] = true
			why := w.why(d)
			if d.Outcome == policy.Allow && !reader.IsZero() {
				why = n.explainClosure(reader, id, why)
			}
			out.Now = append(out.Now, ReaderWhy{
				Reader: w.readerNameIn(g, reader), Agreement: g.doc.Name, Topic: v.Log.Lane.String(), Why: why,
			})
		}
	}
	if len(out.Recorded) == 0 && len(out.Now) == 0 {
		return out, protocol.E(protocol.NotFound, "explain", fmt.Errorf("%s is not here, and no decision about it is recorded", id), "look for it: entente search WORD")
	}
	return out, nil
}

// answerKey tells apart the answers of an explanation.
type answerKey struct {
	reader    protocol.MemberID
	agreement protocol.AgreementID
	topic     string
	decision  policy.Decision
}

func (n *Node) decideFor(w *world, reader protocol.MemberID, log protocol.LogID, s policy.Subject) policy.Decision {
	return w.engine.Read(policy.Reader{Member: reader, Remote: reader != n.cfg.Member}, log.Agreement, log.Lane.Topic, log.Author.Member, s, n.now())
}

// explainClosure turns an allow into a withhold where something referred to is
// not readable by the reader.
func (n *Node) explainClosure(reader protocol.MemberID, id string, why Why) Why {
	r := n.reading(policy.Reader{Member: reader, Remote: reader != n.cfg.Member})
	if ok, err := r.visible(id); err != nil || ok {
		return why
	}
	versions, err := r.versions(id)
	if err != nil || len(versions) == 0 {
		return why
	}
	for _, ref := range r.world.references(versions[0].object) {
		if ok, err := r.visible(ref); err == nil && !ok {
			why.Outcome = policy.Withhold.String()
			why.Text = fmt.Sprintf("allowed by itself, but it refers to %s, which this reader does not have", ref)
			break
		}
	}
	return why
}

// ExplainRow tells about one decision in the audit log, by its number: what was
// recorded, and the clause as it reads in the version that decided.
func (n *Node) ExplainRow(_ context.Context, number uint64) (Explanation, error) {
	out := Explanation{Question: fmt.Sprintf("What does row %d of the audit log record?", number)}
	var found *protocol.AuditRow
	err := n.cfg.Store.AuditRows(auditRow(number), func(row protocol.AuditRow) bool {
		if row.Number == number {
			found = &row
		}
		return false
	})
	if err != nil {
		return out, err
	}
	if found == nil {
		return out, protocol.E(protocol.NotFound, "explain", fmt.Errorf("the audit log has no row %d", number), "list rows: entente audit")
	}
	out.Recorded = []AuditEntry{n.auditEntry(*found)}
	w := n.world.Load()
	if g := w.agreements[found.Agreement]; g != nil && found.Reason.Clause != "" {
		if text, ok := g.clause(found.Version, found.Reason.Clause); ok {
			out.Now = append(out.Now, ReaderWhy{Reader: "", Agreement: g.doc.Name, Topic: found.Topic, Why: Why{
				Outcome: found.Outcome, Layer: found.Reason.Layer, Agreement: g.doc.Name, AgreementID: g.doc.ID.String(),
				Version: found.Version, Clause: found.Reason.Clause, Text: text,
			}})
		}
	}
	return out, nil
}
