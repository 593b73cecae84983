package p2p

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2p "github.com/libp2p/go-libp2p/core/protocol"

	"entente/protocol"
)

// errNotTaken means that the peer ended the stream instead of answering the
// tag: it does not hold the agreement, or not this version, or not this peer's
// part in it. It does not say which.
var errNotTaken = errors.New("the peer did not take the stream")

// stream is a tagged stream. It counts what passes and, for gossip, stands
// between pubsub and the bytes: rules that look at a whole RPC are kept here.
type stream struct {
	network.Stream
	agreement protocol.AgreementID
	kind      kind
	remote    peer.ID
	outbound  bool
	traffic   *peerState
	set       *streamSet
	in        io.Reader                 // what Read reads; the raw stream unless gossip comes in
	out       func([]byte) (int, error) // what Write writes; the raw stream unless gossip goes out
	closed    sync.Once
	ended     func() // called once when this side is done with the stream; may be nil
}

// Protocol implements network.Stream. PubSub sees the protocol it knows.
func (s *stream) Protocol() libp2p.ID {
	if s.kind == kindGossip {
		return gossipProtocol
	}
	return protocolID
}

// Read implements network.Stream.
func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

// Write implements network.Stream.
func (s *stream) Write(p []byte) (int, error) { return s.out(p) }

// Close implements network.Stream.
func (s *stream) Close() error {
	s.done()
	return s.Stream.Close()
}

// Reset implements network.Stream.
func (s *stream) Reset() error {
	s.done()
	return s.Stream.Reset()
}

// ResetWithError implements network.Stream. The code is not sent: one failure
// looks like another.
func (s *stream) ResetWithError(network.StreamErrorCode) error { return s.Reset() }

func (s *stream) done() {
	s.closed.Do(func() {
		s.set.remove(s)
		if s.ended != nil {
			s.ended()
		}
	})
}

// counted counts the bytes of a raw stream.
type counted struct {
	network.Stream
	traffic *peerState
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	c.traffic.received.Add(uint64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Stream.Write(p)
	c.traffic.sent.Add(uint64(n))
	return n, err
}

// streamSet holds the open streams, so that those of a peer that is no party
// any more can be cut.
type streamSet struct {
	mu     sync.Mutex
	open   map[*stream]struct{} // owner: mu
	closed bool                 // owner: mu
}

func newStreamSet() *streamSet { return &streamSet{open: map[*stream]struct{}{}} }

// add reports whether the stream may live.
func (t *streamSet) add(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.open[s] = struct{}{}
	return true
}

func (t *streamSet) remove(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, s)
}

// cut resets the streams that which names.
func (t *streamSet) cut(which func(*stream) bool) {
	t.mu.Lock()
	var chosen []*stream
	for s := range t.open {
		if which(s) {
			chosen = append(chosen, s)
		}
	}
	t.mu.Unlock()
	for _, s := range chosen {
		_ = s.Reset()
	}
}

// gossip returns the agreement's gossip streams over a connection.
func (t *streamSet) gossip(agreement protocol.AgreementID, over network.Conn) []network.Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	var streams []network.Stream
	for s := range t.open {
		if s.kind == kindGossip && s.agreement == agreement && s.remote == over.RemotePeer() && s.Conn().ID() == over.ID() {
			streams = append(streams, s)
		}
	}
	return streams
}

// close resets all streams and takes no more.
func (t *streamSet) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cut(func(*stream) bool { return true })
}

// open opens a tagged stream to a connected peer. The key is that of m which
// the peer is thought to hold. A peer that does not take it gives errNotTaken.
func (h *Host) open(ctx context.Context, m *membership, key tagKey, k kind, id peer.ID) (*stream, error) {
	return h.openFor(ctx, m.Agreement, key, k, id)
}

func (h *Host) openFor(ctx context.Context, agreement protocol.AgreementID, key tagKey, k kind, id peer.ID) (*stream, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "streams use open connections"), dialTimeout)
	defer cancel()
	raw, err := h.net.NewStream(ctx, id, protocolID)
	if err != nil {
		return nil, fmt.Errorf("open a stream to %s: %w", id, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Reset() })
	started := time.Now()
	state := h.peers.state(id)
	if err := offer(counted{raw, state}, key, k, h.self, id); err != nil {
		stop()
		_ = raw.Reset()
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err()
	}
	h.peers.roundTrip(state, time.Since(started))
	s := h.newStream(raw, agreement, k, id, true)
	if !h.streams.add(s) || !h.mayHold(s) {
		_ = s.Reset()
		return nil, errNotTaken
	}
	return s, nil
}

// offer sends the tag and awaits the proof that the peer can make one too.
func offer(raw counted, key tagKey, k kind, self, remote peer.ID) error {
	if err := raw.SetDeadline(time.Now().Add(firstFrame)); err != nil {
		return err
	}
	tag := newTag(key, k, self, remote)
	if _, err := raw.Write(tag[:]); err != nil {
		return fmt.Errorf("%w: %v", errNotTaken, err)
	}
	var reply [replySize]byte
	if _, err := io.ReadFull(raw, reply[:]); err != nil {
		return fmt.Errorf("%w: %v", errNotTaken, err)
	}
	expected := key.reply(&tag, self, remote)
	if !hmac.Equal(reply[:], expected[:]) {
		return errNotTaken
	}
	return raw.SetDeadline(time.Time{})
}

func (h *Host) newStream(raw network.Stream, agreement protocol.AgreementID, k kind, id peer.ID, outbound bool) *stream {
	c := counted{raw, h.peers.state(id)}
	return &stream{
		Stream: raw, agreement: agreement, kind: k, remote: id, outbound: outbound,
		traffic: c.traffic, set: h.streams, in: c, out: c.Write,
	}
}

// mayHold reports whether the stream's peer is still entitled to it. It is
// asked after the stream was added to the set, so that a roster which changed
// in between is not missed.
func (h *Host) mayHold(s *stream) bool {
	if s.kind == kindInvite {
		return true // who shows an invite is in no roster, or soon
	}
	m := h.roster.Load().memberships[s.agreement]
	if m != nil && m.papers(s.remote) && (s.kind == kindGossip || s.kind == kindSync) {
		return false
	}
	if m == nil {
		return h.cfg.Public && s.outbound && s.kind == kindDocuments // Fetch
	}
	if m.Public {
		return true
	}
	return m.has(s.remote)
}

// accept takes an inbound stream: it reads the tag, finds the agreement and
// hands the stream to whoever serves the kind. Whatever is wrong, the stream is
// reset without a word.
func (h *Host) accept(raw network.Stream) {
	id := raw.Conn().RemotePeer()
	if !h.tasks.begin() {
		_ = raw.Reset()
		return
	}
	defer h.tasks.end()
	c := counted{raw, h.peers.state(id)}
	var tag [tagSize]byte
	if err := c.SetDeadline(time.Now().Add(firstFrame)); err != nil {
		_ = raw.Reset()
		return
	}
	if _, err := io.ReadFull(c, tag[:]); err != nil {
		h.refusals.note(id, "no tag in time", raw.Conn().RemoteMultiaddr().String())
		_ = raw.Reset()
		return
	}
	if kind(tag[0]) == kindInvite {
		h.acceptGuest(raw, c, &tag)
		return
	}
	m, key := h.roster.Load().match(&tag, h.cfg.Public, id, h.self)
	if m == nil {
		h.refusals.note(id, "unknown tag", raw.Conn().RemoteMultiaddr().String())
		_ = raw.Reset()
		return
	}
	s := h.newStream(raw, m.Agreement, kind(tag[0]), id, false)
	if !h.streams.add(s) || !h.mayHold(s) {
		_ = s.Reset()
		return
	}
	reply := key.reply(&tag, id, h.self)
	if _, err := s.Write(reply[:]); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.SetDeadline(time.Time{})
	h.serve(m, s)
}

// serve runs the side of the one who was asked, and ends with the stream.
func (h *Host) serve(m *membership, s *stream) {
	switch s.kind {
	case kindGossip:
		h.serveGossip(m, s)
	case kindSync:
		h.serveSync(s)
	case kindDocuments:
		h.serveDocuments(m, s)
	case kindPing:
		servePing(s)
	default:
		_ = s.Reset()
	}
}
