package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// TrailQuery asks who may have an object that is held here, and why.
type TrailQuery struct {
	Object string // STIX id
	Topic  string // AGREEMENT/TOPIC; empty: those that it is on
	For    string // one reader: handle, id, "public"; empty: all
}

// Trail is every rule that was asked about an object on one topic. It is for the
// local operator alone.
type Trail struct {
	Object    string `json:"object"`
	Type      string `json:"type"`
	Marking   string `json:"marking"` // as it was decided
	Agreement string `json:"agreement"`
	Topic     string `json:"topic"`
	Author    string `json:"author"` // handle
	// Held says that the object is on this topic. Else the question is what would
	// be so if this member published it there.
	Held    bool          `json:"held"`
	Verdict Why           `json:"verdict"` // for the topic as a whole: may it go there
	Readers []ReaderTrail `json:"readers"`
}

// ReaderTrail is the trail for one reader.
type ReaderTrail struct {
	Reader string `json:"reader"`           // handle, "public"
	Party  bool   `json:"party"`            // it is a party to the agreement, or the public of a public one
	Barred bool   `json:"barred,omitzero"`  // it reads nothing of the topic
	Why    Why    `json:"why"`              // what was decided
	Lacks  string `json:"lacks,omitempty"`  // the object that this one refers to, and that the reader does not have
	Duties string `json:"duties,omitempty"` // what the permission demands
	// Until is the moment at which a date may change the answer; absent: none will.
	Until   time.Time   `json:"until,omitzero"`
	Steps   []TrailStep `json:"steps"`
	Omitted int         `json:"omitted,omitzero"` // clauses left out that do not speak of this
}

// TrailStep is one rule that was asked.
type TrailStep struct {
	Layer     string `json:"layer"`
	Agreement string `json:"agreement,omitempty"`
	Version   uint64 `json:"version,omitzero"`
	Clause    string `json:"clause,omitempty"`
	Against   bool   `json:"against,omitzero"` // it says no
	Match     bool   `json:"match,omitzero"`   // it speaks of this
	Decides   bool   `json:"decides,omitzero"` // it is the reason
	Why       string `json:"why"`
	Text      string `json:"text,omitempty"` // the clause's prose
}

// Trails answers a TrailQuery: one trail for each topic and author by which the
// object is here, or for the topic that is asked about. NotFound: the object is
// not here. People of this member are asked for with the purpose of ctx.
func (n *Node) Trails(ctx context.Context, q TrailQuery) ([]Trail, error) {
	const op = "explain"
	w := n.world.Load()
	versions, err := n.cfg.Store.Get(q.Object)
	if err != nil {
		return nil, err
	}
	var only *protocol.MemberID
	if q.For != "" {
		only = new(protocol.MemberID)
		if q.For != publicReader {
			if *only, err = w.memberNamed(q.For); err != nil {
				return nil, err
			}
		}
	}
	if len(versions) == 0 {
		return nil, protocol.E(protocol.NotFound, op, fmt.Errorf("%s is not here", q.Object), "ask before it is published: entente publish --dry-run FILE")
	}
	out := []Trail{}
	var wanted *governing
	topic := ""
	if q.Topic != "" {
		if wanted, topic, err = w.topic(q.Topic); err != nil {
			return nil, err
		}
	}
	for i, v := range versions {
		g := w.agreements[v.Log.Agreement]
		if g == nil || !v.Log.Lane.IsTopic() || wanted != nil && (g != wanted || v.Log.Lane.Topic != topic) || seenBefore(versions[:i], v) {
			continue
		}
		subject, _ := n.carried().subject(v.Object)
		out = append(out, n.trail(ctx, w, g, v.Log.Lane.Topic, v.Log.Author.Member, v.Object, subject, only, nil))
	}
	if len(out) > 0 {
		return out, nil
	}
	if wanted == nil {
		return nil, protocol.E(protocol.NotFound, op, fmt.Errorf("%s came under agreements that are not here any more", q.Object), "name a topic to ask about: --topic AGREEMENT/TOPIC")
	}
	c := &candidate{id: q.Object, object: versions[0].Object}
	p := &publication{node: n, world: w, governing: wanted, topic: topic, now: n.now()}
	p.decideOne(c, func(id string) *stix.Object { return n.marks.get(n, id) })
	p.origins(c, versions)
	return append(out, n.trail(ctx, w, wanted, topic, n.cfg.Member, c.object, c.subject, only, &c.verdict)), nil
}

// seenBefore reports whether a newer version came by the same author and topic.
func seenBefore(versions []store.Version, v store.Version) bool {
	return slices.ContainsFunc(versions, func(o store.Version) bool {
		return o.Log.Agreement == v.Log.Agreement && o.Log.Lane == v.Log.Lane && o.Log.Author.Member == v.Log.Author.Member
	})
}

// trail asks every rule. A verdict is given for what is not on the topic.
func (n *Node) trail(ctx context.Context, w *world, g *governing, topic string, author protocol.MemberID, o *stix.Object, s policy.Subject, only *protocol.MemberID, would *policy.Verdict) Trail {
	readers := g.everyone(topic)
	if g.public() && !slices.Contains(readers, protocol.MemberID{}) {
		readers = append(readers, protocol.MemberID{})
	}
	if only != nil {
		readers = []protocol.MemberID{*only}
	}
	var as []policy.Reader
	for _, m := range readers {
		as = append(as, policy.Reader{Member: m, Remote: m != n.cfg.Member, Purpose: PurposeOf(ctx)})
	}
	x := w.engine.ExplainTo(g.doc.ID, topic, author, s, n.now(), as...)
	verdict := x.Verdict
	if would != nil {
		verdict = *would
	}
	out := Trail{
		Object: o.ID, Type: o.Type, Marking: x.Verdict.Marking.String(), Agreement: g.doc.Name, Topic: topic, Author: w.readerNameIn(g, author),
		Held: would == nil, Verdict: w.why(verdict.Decision), Readers: []ReaderTrail{},
	}
	for _, d := range verdict.Denied {
		out.Verdict.Readers = append(out.Verdict.Readers, w.readerNameIn(g, d.Reader))
	}
	for _, t := range x.Readers {
		r := ReaderTrail{
			Reader: w.readerNameIn(g, t.Reader), Party: g.isParty(t.Reader) || g.public() && t.Reader.IsZero(), Barred: t.Barred, Why: w.why(t.Decision),
			Duties: policy.DutiesText(t.Decision.Duties), Until: t.Decision.Expires, Steps: []TrailStep{}, Omitted: t.Omitted,
		}
		if t.Decision.Outcome == policy.Allow && would == nil && !t.Reader.IsZero() {
			why := n.explainClosure(t.Reader, o.ID, r.Why)
			if why.Outcome != r.Why.Outcome {
				r.Why, r.Lacks = why, why.Text
			}
		}
		for _, st := range t.Steps {
			r.Steps = append(r.Steps, TrailStep{
				Layer: st.Layer.String(), Agreement: w.agreementName(st.Of), Version: st.Version, Clause: st.Clause, Against: st.Against,
				Match: st.Match, Decides: st.Decides, Why: st.Why, Text: st.Text,
			})
		}
		out.Readers = append(out.Readers, r)
	}
	return out
}
