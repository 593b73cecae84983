package node

import (
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// decideArrival asks policy about each object of a message. fresh holds the
// marking definitions of the messages before it that are not in the store yet;
// those of this message are added.
func (n *Node) decideArrival(w *world, a *arrival, fresh map[string]*stix.Object, now time.Time) store.Arrival {
	h := a.message.Header()
	g := w.agreements[h.Agreement]
	log := h.Log()
	base := protocol.AuditRow{
		Time: now, Kind: protocol.AuditMessage, Action: "receive", Outcome: protocol.Accept.String(),
		Agreement: h.Agreement, Version: h.AgreementVersion, Topic: h.Lane.Topic,
		Log: &log, Sequence: h.Sequence, Peer: peerText(a.from), Party: h.Author.Member,
		Count: h.Objects, Bytes: int64(a.bytes),
	}
	if !a.gossip {
		base.Action = "sync"
	}
	in := store.Arrival{Message: n.allowedIn(g, a.message), Audit: []protocol.AuditRow{base}}
	if h.Content == protocol.Control {
		in.Audit = append(in.Audit, n.readStatements(w, g, a, base)...)
		return in
	}
	own := map[string]*stix.Object{}
	for _, o := range a.objects {
		if o != nil && o.Type == "marking-definition" {
			own[o.ID] = o
		}
	}
	definition := func(id string) *stix.Object {
		if o := own[id]; o != nil {
			return o
		}
		if o := fresh[id]; o != nil {
			return o
		}
		return n.marks.get(n, id)
	}
	base.Action = "receive" // by sync as well
	rows := rowsOf(base, w.basisHash)
	for i, o := range a.objects {
		d, fate := n.decideLeaf(w, g, h, o, a.faults[i], definition, now)
		leaf := store.Leaf{Position: i}
		if o != nil {
			leaf.ID, leaf.Modified, leaf.Object = o.ID, o.Modified, o
			leaf.Allowed, leaf.Doubtful = fate == fateKept, fate == fateDoubted
			if leaf.Allowed && own[o.ID] == o && fresh[o.ID] == nil {
				fresh[o.ID] = o
			}
		}
		in.Leaves = append(in.Leaves, leaf)
		rows.add(d, i)
	}
	in.Audit = append(in.Audit, rows.done(h.Objects)...)
	return in
}

// leafRows gathers decisions about the leaves of one message into rows, one for
// those that are alike.
type leafRows struct {
	like protocol.AuditRow // what all of them say
	rows []protocol.AuditRow
	at   map[policy.Decision]int
}

// rowsOf begins the rows about the message that a row is about; their action is
// its action.
func rowsOf(message protocol.AuditRow, basis protocol.Hash) *leafRows {
	message.Basis = basis
	return &leafRows{like: message, at: map[policy.Decision]int{}}
}

func (l *leafRows) add(d policy.Decision, position int) {
	at, ok := l.at[d.Alike()]
	if !ok {
		at = len(l.rows)
		l.at[d.Alike()] = at
		row := decisionRow(l.like.Time, l.like.Action, l.like.Topic, d, nil)
		row.Agreement, row.Log, row.Sequence, row.Party = l.like.Agreement, l.like.Log, l.like.Sequence, l.like.Party
		row.Peer, row.Basis = l.like.Peer, l.like.Basis
		l.rows = append(l.rows, row)
	}
	row := &l.rows[at]
	row.Positions = append(row.Positions, position)
	row.Count++
}

// done returns the rows; one about all leaves of the message names none.
func (l *leafRows) done(objects int) []protocol.AuditRow {
	for i := range l.rows {
		if len(l.rows[i].Positions) == objects {
			l.rows[i].Positions = nil
		}
	}
	return l.rows
}

// allowedIn returns a message as it may be stored: after the end of its agreement
// without its objects, so that the log goes on and no new data comes in.
func (n *Node) allowedIn(g *governing, m *protocol.Message) *protocol.Message {
	h := m.Header()
	if g == nil || g.inForce() || h.Content == protocol.Control {
		return m
	}
	all := make([]int, h.Objects)
	for i := range all {
		all[i] = i
	}
	bare, err := n.cfg.Codec.Without(m, all...)
	if err != nil {
		n.cfg.Logger.Error("the objects of a message cannot be left out", "err", err)
		return m // they are refused all the same, and in no index
	}
	return bare
}

// textAwaits is said of an object whose marking is not known yet.
const textAwaits = "it bears a marking whose definition is not here; it is kept, and shown to nobody until the definition comes"

// textLeftOut is said of a leaf that came without its object.
const textLeftOut = "the object was erased or left out before it came here"

// fate is what becomes of an object of a message here.
type fate uint8

const (
	fateRefused fate = iota // in no index, for good
	fateDoubted             // in no index, until it is decided otherwise (admit.go)
	fateKept                // in the indexes
)

// decideLeaf decides about one object of a message, and what becomes of it. One
// whose marking's definition has not come is kept, since definitions come on any
// log at any time; reading holds it back until then (reading.may).
//
// What an agreement, a record or this node's disk stands against is doubted:
// another version, or another word of the operator's, may let it in. What its
// author may never have said is refused for good: bad form, an object of another
// member, anything that a suspended party sent.
func (n *Node) decideLeaf(w *world, g *governing, h protocol.Header, o *stix.Object, fault error, definition func(string) *stix.Object, now time.Time) (policy.Decision, fate) {
	switch {
	case fault != nil:
		return policy.Decision{Outcome: policy.Refuse, Layer: policy.Form, Text: formRule(fault.Error())}, fateRefused
	case o == nil:
		return policy.Decision{Outcome: policy.Withhold, Layer: policy.Form, Text: textLeftOut}, fateRefused
	case g == nil:
		return policy.Decision{Outcome: policy.Refuse, Layer: policy.Governing, Text: "the agreement is not in force here"}, fateDoubted
	case stix.IsForgedMarking(o):
		return policy.Decision{Outcome: policy.Refuse, Layer: policy.Form, Text: textForged}, fateRefused
	}
	if halted, ok := g.halted[h.Author.Member]; ok {
		return policy.Decision{Outcome: policy.Refuse, Layer: policy.Governing, Agreement: h.Agreement, Version: g.doc.Version, Text: halted.text}, fateRefused
	}
	o.Level = stix.LevelOf(o, definition)
	subject := policy.SubjectOf(o)
	subject.Header, subject.Version = h.Marking, h.AgreementVersion
	if o.Level.Awaits != "" {
		subject.Problem = ""
	}
	d := w.engine.Inbound(h.Agreement, h.Lane.Topic, h.Author.Member, subject, now)
	switch {
	case d.Outcome != policy.Allow && d.Layer == policy.Form:
		return d, fateRefused
	case d.Outcome != policy.Allow && d.Layer != policy.Local:
		return d, fateDoubted
	}
	if no, ok := w.ownership(g, h.Author.Member, o); !ok {
		return no, fateRefused
	}
	if text := w.duty(h.Author.Member, o, d.Duties); text != "" {
		return w.dutyDecision(d, text), fateDoubted
	}
	if d.Layer == policy.Local {
		// Its message is carried whole, as its author means it for all; reading keeps
		// the object from this member, for as long as its rules say so.
		return d, fateKept
	}
	if o.Level.Awaits != "" {
		d = policy.Decision{Outcome: policy.Withhold, Layer: policy.Floor, Agreement: d.Agreement, Version: d.Version, Text: textAwaits}
	}
	return d, fateKept
}
