package node

import (
	"context"
	"fmt"
	"slices"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
)

// reads reports whether the reader behind a connection may read a topic.
func (g *governing) reads(reader protocol.MemberID, topic string) bool {
	return slices.Contains(g.readers(topic), reader) || (g.public() && slices.Contains(g.readers(topic), protocol.MemberID{}))
}

// Frontier tells what reader may know of the logs held: those of topics that it
// reads, nothing of any other. It implements the network's handler.
func (n *Node) Frontier(reader protocol.Peer, agreement protocol.AgreementID) protocol.Frontier {
	w := n.world.Load()
	g := w.agreements[agreement]
	if g == nil || !g.open() {
		return nil
	}
	if !g.public() && !g.stands(reader.Author.Member) {
		return nil
	}
	held := n.cfg.Store.Logs(agreement)
	out := make(protocol.Frontier, 0, len(held))
	for _, e := range held {
		e = w.upTo(g, e)
		if e.Log.Lane.IsTopic() && g.reads(reader.Author.Member, e.Log.Lane.Topic) && e.Position.Sequence > 0 {
			out = append(out, e)
		}
	}
	return out
}

// Wants says which ranges to ask of a peer that holds theirs: what is missing
// here of authors in standing, and the entry at which two heads differ, which
// proves a fork. It implements the network's handler.
func (n *Node) Wants(_ protocol.Peer, agreement protocol.AgreementID, theirs protocol.Frontier) []protocol.Want {
	w := n.world.Load()
	g := w.agreements[agreement]
	if g == nil || !g.open() || !n.cfg.Store.Accepting() {
		return nil
	}
	var wants []protocol.Want
	for _, e := range theirs {
		if e.Log.Agreement != agreement || !w.mayHold(g, e.Log) || (g.stale && e.Log.Lane.Topic != protocol.AgreementTopic) {
			continue // while it is not current, statements come first
		}
		mine := n.cfg.Store.Position(e.Log)
		e = w.upTo(g, e) // beyond its end a log counts for nobody
		switch {
		case e.Position.Sequence > mine.Sequence:
			wants = append(wants, protocol.Want{Log: e.Log, From: mine.Sequence, To: e.Position.Sequence})
		case e.Position.Sequence == mine.Sequence && mine.Sequence > 0 && e.Position.Head != mine.Head:
			wants = append(wants, protocol.Want{Log: e.Log, From: mine.Sequence - 1, To: mine.Sequence})
		}
	}
	return wants
}

// Serve calls yield with the frames of a range as reader may have them. A
// message sealed under the version in force went to every reader of its topic
// by decision, and is passed on as it is; an older one is decided again for
// this reader, and objects that it may not have are left out. It implements the
// network's handler.
func (n *Node) Serve(ctx context.Context, reader protocol.Peer, agreement protocol.AgreementID, want protocol.Want, yield func(frame []byte) bool) error {
	w := n.world.Load()
	g := w.agreements[agreement]
	if g == nil || !g.open() || want.Log.Agreement != agreement || !want.Log.Lane.IsTopic() ||
		(!g.public() && !g.stands(reader.Author.Member)) || !g.reads(reader.Author.Member, want.Log.Lane.Topic) {
		return errNotAvailable("serve")
	}
	if end, ended := w.ending(g, want.Log); ended {
		want.To = min(want.To, end.Sequence)
	}
	var messages, bytes int
	var failed error
	err := n.cfg.Store.Range(want.Log, want.From, want.To, func(sequence uint64, frame []byte) bool {
		if failed = ctx.Err(); failed != nil {
			return false
		}
		var out []byte
		if out, failed = n.redact(w, g, reader, frame); failed != nil || out == nil {
			return false
		}
		messages++
		bytes += len(out)
		return yield(out)
	})
	if messages > 0 {
		log := want.Log
		n.note(protocol.AuditRow{
			Kind: protocol.AuditMessage, Action: "serve", Outcome: "allow", Agreement: agreement, Version: g.doc.Version,
			Topic: want.Log.Lane.Topic, Log: &log, Sequence: want.From + 1, Peer: peerText(reader), Party: reader.Author.Member,
			Count: messages, Bytes: int64(bytes),
			Reason: protocol.AuditReason{Layer: "agreement", Text: fmt.Sprintf("%s from number %d on, to a reader of the topic", quantity(messages, "message"), want.From+1)},
		})
	}
	if err != nil {
		return err
	}
	return failed
}

// redact leaves out of a frame what the reader may not have now. It returns nil for
// one that is put off as a whole, with all that follow it in its log.
func (n *Node) redact(w *world, g *governing, reader protocol.Peer, frame []byte) ([]byte, error) {
	s, err := n.cfg.Codec.Decode(frame)
	if err != nil {
		return nil, err
	}
	h := s.Header()
	if g.defers(h) {
		return nil, nil
	}
	narrowed := h.Author.Member == n.cfg.Member && w.engine.Narrowed(h.Agreement)
	if h.Content == protocol.Control || (!narrowed && g.inForce() && h.AgreementVersion == g.doc.Version && !g.timed && len(g.halted) == 0) {
		return frame, nil
	}
	m, err := n.cfg.Codec.Reopen(frame)
	if err != nil {
		return nil, err
	}
	now := n.now()
	own := map[string]*stix.Object{}
	objects := make([]*stix.Object, h.Objects)
	parser := stix.NewParser(n.cfg.Limits)
	var hidden []int
	for i := range h.Objects {
		raw := m.Object(i)
		if raw == nil {
			continue
		}
		o, err := parser.Parse(raw)
		if err != nil {
			hidden = append(hidden, i) // nobody can decide about it
			continue
		}
		objects[i], own[o.ID] = o, o
	}
	for i, o := range objects {
		if o == nil {
			continue
		}
		o.Level = stix.LevelOf(o, func(id string) *stix.Object {
			if d := own[id]; d != nil {
				return d
			}
			return n.marks.get(n, id)
		})
		d := w.engine.Read(policy.Reader{Member: reader.Author.Member, Remote: true}, h.Agreement, h.Lane.Topic, h.Author.Member, policy.SubjectOf(o), now)
		if d.Outcome != policy.Allow {
			hidden = append(hidden, i)
		}
	}
	if len(hidden) == 0 {
		return frame, nil
	}
	slices.Sort(hidden)
	less, err := n.cfg.Codec.Without(m, hidden...)
	if err != nil {
		return nil, err
	}
	return less.Frame(), nil
}

// Event writes a peer event down. It implements the network's handler.
func (n *Node) Event(e protocol.PeerEvent) {
	outcome := "ok"
	switch e.Kind {
	case protocol.PeerRefused:
		outcome = "refuse"
	case protocol.PeerDropped:
		outcome = "failed"
	}
	peer := e.PeerID
	if peer == "" {
		peer = peerText(e.Peer)
	}
	n.note(protocol.AuditRow{
		Time: e.Time, Kind: protocol.AuditPeer, Action: string(e.Kind), Outcome: outcome, Agreement: e.Agreement,
		Peer: peer, Party: e.Peer.Author.Member, Count: e.Messages, Bytes: e.Bytes,
		Reason: protocol.AuditReason{Text: e.Detail},
	})
}

// errNotAvailable is the one answer that a peer gets when it may not have
// something, whatever the reason.
func errNotAvailable(op string) error {
	return protocol.Errorf(protocol.NotFound, op, "not available")
}
