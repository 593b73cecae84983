package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"entente/protocol"
)

// Check judges a gossiped frame against the world as it is, inside the
// network's validator: cheapest question first, no state written. It implements
// the network's handler.
func (n *Node) Check(from protocol.Peer, agreement protocol.AgreementID, topic string, frame []byte) (protocol.Verdict, *protocol.Message) {
	w := n.world.Load()
	m, err := n.check(w, from, agreement, protocol.TopicLane(topic), frame)
	if g := w.agreements[agreement]; err == nil && !g.inForce() && m.Header().Content != protocol.Control {
		err = protocol.Errorf(protocol.Unverified, "check", "the agreement is not in force: %s", g.stateText())
	}
	if err == nil {
		return protocol.Accept, m
	}
	if errors.Is(err, errHeld) {
		return protocol.Ignore, nil
	}
	verdict := protocol.KindOf(err).Verdict()
	n.noteRefusal(w, from, agreement, topic, len(frame), verdict, err)
	return verdict, nil
}

// errHeld says that a message is here already: the commonest end of a check,
// and nothing to write down.
var errHeld = errors.New("held already")

// check is the order in which a frame from outside is doubted.
func (n *Node) check(w *world, from protocol.Peer, agreement protocol.AgreementID, in protocol.Lane, frame []byte) (*protocol.Message, error) {
	g := w.agreements[agreement]
	if g == nil || !g.open() {
		return nil, protocol.Errorf(protocol.Unverified, "check", "the agreement is not in force here")
	}
	if from.Transport != (protocol.PublicKey{}) && !n.quotas.allow(from.Transport, len(frame), n.now()) {
		return nil, protocol.Errorf(protocol.Full, "check", "the peer sends more than its share")
	}
	s, err := n.cfg.Codec.Decode(frame)
	if err != nil {
		return nil, err
	}
	h := s.Header()
	if h.Agreement != agreement || (in != protocol.Lane{} && h.Lane != in) {
		return nil, protocol.Errorf(protocol.Unverified, "check", "the message belongs to another agreement or topic than it came on")
	}
	if held := n.cfg.Store.Position(h.Log()); h.Sequence < held.Sequence {
		return nil, errHeld
	}
	key, err := w.standing(g, h)
	if err != nil {
		return nil, err
	}
	if err := n.timely(g, h); err != nil {
		return nil, err
	}
	if g.defers(h) {
		return nil, protocol.Errorf(protocol.Unverified, "check", "it is put off: %s", g.staleText())
	}
	if !n.cfg.Store.Accepting() {
		return nil, protocol.Errorf(protocol.Full, "check", "this node takes nothing in at present")
	}
	m, err := n.cfg.Codec.Open(s, key)
	if err != nil {
		return nil, err
	}
	if err := w.closed.check(h.Log(), m.Position()); err != nil {
		return nil, err
	}
	if held := n.cfg.Store.Position(h.Log()); h.Sequence == held.Sequence && m.Hash() == held.Head {
		return nil, errHeld
	}
	return m, nil
}

// timely refuses what depends on versions and clocks: never the sender's fault.
func (n *Node) timely(g *governing, h protocol.Header) error {
	if h.AgreementVersion > g.doc.Version {
		if net := n.network(g.public()); net != nil {
			net.Sync(g.doc.ID) // brings documents first
		}
		return protocol.Errorf(protocol.Unverified, "check",
			"it was sealed under version %d of the agreement; this node has version %d", h.AgreementVersion, g.doc.Version)
	}
	if ahead := h.Time.Sub(n.now()); ahead > skew {
		return protocol.Errorf(protocol.Unverified, "check",
			"its time is %s ahead of this node's clock; it will be asked for again later", ahead.Round(time.Second))
	}
	if g.public() && h.Marking != protocol.Clear && h.Marking != protocol.NoMarking {
		return protocol.Errorf(protocol.Refused, "check", "it is marked %s on a public topic, where only TLP:CLEAR passes", h.Marking)
	}
	if h.Marking == protocol.Red {
		return protocol.Errorf(protocol.Refused, "check", "TLP:RED is never for a whole topic")
	}
	return nil
}

// standing returns the key under which the header must be signed, if its author
// may speak in that lane at that place of its log.
func (w *world) standing(g *governing, h protocol.Header) (ed25519.PublicKey, error) {
	const op = "check"
	if !h.Lane.IsTopic() || h.Audience.Kind != protocol.AllParties {
		return nil, protocol.Errorf(protocol.Unverified, op, "it is in a private lane that this node is not in")
	}
	if !g.has(h.Lane.Topic) {
		return nil, protocol.Errorf(protocol.Unverified, op, "the agreement has no topic %q", h.Lane.Topic)
	}
	if h.Content != protocol.Control && h.Lane.Topic == protocol.AgreementTopic {
		return nil, protocol.Errorf(protocol.Refused, op, "objects have no place among the statements about an agreement")
	}
	end, closed := w.closed.end(h.Log())
	if closed && h.Sequence > end.Sequence {
		return nil, protocol.Errorf(protocol.Refused, op, "the log was closed at message %d; this is message %d", end.Sequence, h.Sequence)
	}
	if !g.stands(h.Author.Member) && !closed {
		return nil, protocol.Errorf(protocol.Unverified, op, "its author %s is no party that has signed", h.Author)
	}
	if w.retired[authorKey{h.Author, h.Epoch}] && !closed {
		return nil, protocol.Errorf(protocol.Refused, op, "the node of its author was retired, and this log is not among those that it closed")
	}
	key, ok := w.keys[authorKey{h.Author, h.Epoch}]
	if !ok {
		return nil, protocol.E(protocol.Unverified, op,
			fmt.Errorf("no record here holds the key of %s, epoch %d", h.Author, h.Epoch),
			"ask that member for its current record, then: entente members add FILE")
	}
	return ed25519.PublicKey(key[:]), nil
}

// noteRefusal writes down a frame that was not taken.
func (n *Node) noteRefusal(w *world, from protocol.Peer, agreement protocol.AgreementID, topic string, size int, v protocol.Verdict, err error) {
	n.note(protocol.AuditRow{
		Kind: protocol.AuditMessage, Action: "receive", Outcome: v.String(),
		Agreement: agreement, Version: w.version(agreement), Topic: topic,
		Peer: peerText(from), Party: from.Author.Member, Bytes: int64(size),
		Reason: protocol.AuditReason{Layer: "form", Text: err.Error()},
	})
}

// quotas are token buckets, one a peer: what an honest member needs at full
// speed many times over, and less than it takes to drown a node.
type quotas struct {
	mu      sync.Mutex
	buckets map[protocol.PublicKey]*bucket
}

type bucket struct {
	messages float64
	bytes    float64
	at       time.Time
}

const (
	quotaMessages = 2000     // a second
	quotaBytes    = 64 << 20 // a second
	quotaBurst    = 4        // seconds
	quotaPeers    = 4096
)

func (q *quotas) init() { q.buckets = map[protocol.PublicKey]*bucket{} }

func (q *quotas) allow(peer protocol.PublicKey, size int, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.buckets[peer]
	if b == nil {
		if len(q.buckets) >= quotaPeers {
			clear(q.buckets) // strangers come and go; nobody loses more than a bucket's history
		}
		b = &bucket{messages: quotaMessages * quotaBurst, bytes: quotaBytes * quotaBurst, at: now}
		q.buckets[peer] = b
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.messages = min(quotaMessages*quotaBurst, b.messages+passed*quotaMessages)
		b.bytes = min(quotaBytes*quotaBurst, b.bytes+passed*quotaBytes)
		b.at = now
	}
	if b.messages < 1 || b.bytes < float64(size) {
		return false
	}
	b.messages--
	b.bytes -= float64(size)
	return true
}
