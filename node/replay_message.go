package node

import (
	"cmp"
	"fmt"
	"slices"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// reopened is a stored message, read again.
type reopened struct {
	log      protocol.LogID
	sequence uint64
	entry    store.Entry
	objects  []*stix.Object // by leaf; nil where absent or unparsable
	faults   []error
	own      map[string]*stix.Object // marking definitions in it
}

// reopen reads the message of a row, or says why that cannot be.
func (r *replayer) reopen(row protocol.AuditRow) (*reopened, again) {
	if p := r.parsed; p != nil && p.log == *row.Log && p.sequence == row.Sequence {
		return p, again{}
	}
	entry, err := r.node.cfg.Store.Message(*row.Log, row.Sequence)
	if err == nil {
		err = entry.Message.Load()
	}
	switch {
	case protocol.KindOf(err) == protocol.NotFound:
		return nil, again{result: ReplayGone, text: "the message that it is about is not here"}
	case err != nil:
		return nil, again{result: ReplayGone, text: "the message that it is about cannot be read: " + err.Error()}
	}
	p := &reopened{log: *row.Log, sequence: row.Sequence, entry: entry, own: map[string]*stix.Object{}}
	r.parsed = p
	h := entry.Message.Header()
	p.objects, p.faults = make([]*stix.Object, h.Objects), make([]error, h.Objects)
	if h.Content == protocol.Control {
		return p, again{}
	}
	parser := stix.NewParser(r.node.cfg.Limits)
	for i := range h.Objects {
		raw := entry.Message.Object(i)
		if raw == nil {
			continue
		}
		o, err := parser.Parse(raw)
		if p.objects[i], p.faults[i] = o, err; err == nil && o.Type == "marking-definition" {
			p.own[o.ID] = o
		}
	}
	return p, again{}
}

// ofMessage makes the decisions about leaves of a message again.
func (r *replayer) ofMessage(w *world, row protocol.AuditRow) again {
	p, bad := r.reopen(row)
	if p == nil {
		return bad
	}
	h := p.entry.Message.Header()
	positions := row.Positions
	if positions == nil {
		positions = make([]int, h.Objects)
		for i := range positions {
			positions[i] = i
		}
	}
	switch {
	case slices.Max(append([]int{0}, positions...)) >= h.Objects || row.Count != len(positions):
		return again{result: ReplayDifferent, text: fmt.Sprintf("it does not fit its message, which holds %s", quantity(h.Objects, "object"))}
	case row.Agreement != h.Agreement || row.Topic != h.Lane.Topic || row.Party != h.Author.Member:
		return again{result: ReplayDifferent, text: "its message is of another agreement, topic or author than it names"}
	}
	g := w.agreements[h.Agreement]
	out := again{result: ReplaySame}
	gone, asked, awaits := 0, 0, 0
	for _, i := range positions {
		var d policy.Decision
		switch {
		case h.Content == protocol.Control:
			var how statementGone
			d, how = r.ofStatement(w, g, p, i)
			switch {
			case how == statementErased:
				gone++
				continue
			case how == statementRests && row.Reason.Layer == d.Layer.String():
				asked++
				continue
			}
			d.Version, d.Text = row.Version, row.Reason.Text // in words that name what was here
		case p.objects[i] == nil && p.faults[i] == nil && row.Reason.Text != textLeftOut:
			gone++
			continue
		case row.Action == "publish":
			var ok bool
			if d, ok = r.ofPublished(w, g, row, p, i); !ok {
				awaits++
				continue
			}
		default:
			d, _ = r.node.decideLeaf(w, g, h, p.objects[i], p.faults[i], r.definitions(p), row.Time)
		}
		out.decided++
		if bad := compare(row, d, d.Text); bad != nil {
			return differs(out.decided, bad)
		}
	}
	switch {
	case gone > 0:
		out.result, out.text = ReplayGone, fmt.Sprintf("of its %s %d cannot be asked about again: erased since, or never taken in", quantity(len(positions), "object"), gone)
	case asked > 0:
		out.result, out.text = ReplayGone, textOthers
	case awaits > 0:
		out.result, out.text = ReplayGone, fmt.Sprintf("of its %s %d bear a marking whose definition is not here", quantity(len(positions), "object"), awaits)
	}
	return out
}

// definitions finds markings that were here when the message came.
func (r *replayer) definitions(p *reopened) func(string) *stix.Object {
	return func(id string) *stix.Object {
		if o := p.own[id]; o != nil {
			return o
		}
		o := r.node.marks.get(r.node, id)
		if o == nil {
			return nil
		}
		stamps, err := r.node.cfg.Store.Arrivals(id)
		if err != nil || len(stamps) == 0 || slices.Min(stamps) >= p.entry.Added {
			return nil
		}
		return o
	}
}

// ofPublished asks again about an object that went out; not where its marking is
// defined by something that did not.
func (r *replayer) ofPublished(w *world, g *governing, row protocol.AuditRow, p *reopened, leaf int) (policy.Decision, bool) {
	o := p.objects[leaf]
	if o == nil || g == nil {
		return policy.Decision{Outcome: policy.Refuse, Layer: policy.Form, Text: "it is no object that could have been published"}, true
	}
	again := &publication{node: r.node, world: w, governing: g, topic: row.Topic, now: row.Time}
	c := &candidate{object: o, id: o.ID, kind: o.Type, creator: o.CreatedBy, asked: true}
	again.decideOne(c, r.definitions(p))
	if o.Level.Awaits != "" {
		return policy.Decision{}, false
	}
	if c.verdict.Outcome == policy.Allow {
		held, err := r.node.cfg.Store.Get(o.ID)
		if err != nil {
			return policy.Decision{}, false
		}
		again.origins(c, slices.DeleteFunc(held, func(v store.Version) bool { return v.Added >= p.entry.Added }))
	}
	return c.verdict.Decision, true
}

// statementGone says why a statement is not asked about again.
type statementGone uint8

const (
	statementHere   statementGone = iota // it is
	statementErased                      // nothing is left of it
	statementRests                       // past its form the answer rests on more than is kept
)

// textOthers is said of requests, and of answers to them.
const textOthers = "whether a request, or an answer to one, counts rested on which others had come by then, and that is not kept; its form and signature are as they were"

// ofStatement verifies a statement again.
func (r *replayer) ofStatement(w *world, g *governing, p *reopened, leaf int) (policy.Decision, statementGone) {
	raw := p.entry.Message.Object(leaf)
	if raw == nil || g == nil {
		return policy.Decision{}, statementErased
	}
	sealed, err := protocol.DecodeStatement(raw)
	if err == nil {
		err = cmp.Or(misplaced(sealed.Claim(), p.entry.Message.Header()), w.verify(sealed))
	}
	if err == nil {
		err = r.node.foreign(sealed.Claim(), p.entry.Message.Header())
	}
	if err != nil {
		return policy.Decision{Outcome: policy.Refuse, Layer: policy.Form}, statementHere
	}
	switch claim := sealed.Claim(); claim.Kind {
	case protocol.Request:
		if _, err := protocol.ParseDestination(claim.Text); err != nil {
			return policy.Decision{Outcome: policy.Refuse, Layer: policy.Governing}, statementHere
		}
		return policy.Decision{Outcome: policy.Allow, Layer: policy.Governing}, statementRests
	case protocol.Grant, protocol.Denial:
		return policy.Decision{Outcome: policy.Allow, Layer: policy.Governing}, statementRests
	}
	if g.void(sealed.Claim()) != nil {
		return policy.Decision{Outcome: policy.Refuse, Layer: policy.Governing}, statementHere
	}
	return policy.Decision{Outcome: policy.Allow, Layer: policy.Governing}, statementHere
}
