package p2p

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2p "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"

	"entente/protocol"
)

// view is the host as one agreement's PubSub may see it: the connections of
// current parties' nodes and of nobody else, its own event bus, and streams
// that carry the agreement's tag beneath the protocol that PubSub believes it
// speaks. Methods of host.Host that PubSub has no business with are refused.
type view struct {
	host.Host
	owner     *Host
	agreement protocol.AgreementID
	bus       event.Bus
	identify  event.Emitter

	mu       sync.Mutex
	handler  network.StreamHandler // owner: mu; PubSub's
	interest map[peer.ID]bool      // owner: mu; on a public host, peers that asked for this agreement
	wanting  map[peer.ID]*attempt  // owner: mu; peers to which no gossip stream is open
	stalled  map[peer.ID]time.Time // owner: mu; peers that get no gossip until then
}

// attempt is when the next stream to a peer is tried.
type attempt struct {
	next  time.Time
	delay time.Duration
}

func newView(owner *Host, agreement protocol.AgreementID) (*view, error) {
	v := &view{
		Host: owner.net, owner: owner, agreement: agreement, bus: eventbus.NewBus(),
		interest: map[peer.ID]bool{}, wanting: map[peer.ID]*attempt{}, stalled: map[peer.ID]time.Time{},
	}
	var err error
	v.identify, err = v.bus.Emitter(new(event.EvtPeerIdentificationCompleted))
	return v, err
}

// admits reports whether the peer may take part in the agreement's gossip now.
func (v *view) admits(id peer.ID) bool {
	m := v.owner.roster.Load().memberships[v.agreement]
	if m == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Now().Before(v.stalled[id]) {
		return false
	}
	if _, party := m.parties[id]; party {
		return true
	}
	return m.Public && v.interest[id]
}

// announce tells PubSub of a peer, which then opens a stream if it has none.
func (v *view) announce(id peer.ID) {
	if !v.admits(id) || v.owner.net.Network().Connectedness(id) != network.Connected {
		return
	}
	_ = v.identify.Emit(event.EvtPeerIdentificationCompleted{Peer: id, Protocols: []libp2p.ID{gossipProtocol}})
}

// came notes a gossip stream that the peer opened: it holds the agreement now,
// so a stream to it is worth trying at once.
func (v *view) came(id peer.ID) {
	v.mu.Lock()
	v.interest[id] = true
	if w := v.wanting[id]; w != nil {
		w.next, w.delay = time.Now(), 0
	}
	v.mu.Unlock()
	v.announce(id)
}

// gone forgets a peer that is not connected.
func (v *view) gone(id peer.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.interest, id)
	delete(v.wanting, id)
	delete(v.stalled, id)
}

// opened notes that PubSub has a stream to the peer.
func (v *view) opened(id peer.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.wanting, id)
}

// missed notes that PubSub has no stream to the peer. Tries come further and
// further apart, up to half a minute.
func (v *view) missed(id peer.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.wanting[id]
	if w == nil {
		w = &attempt{}
		v.wanting[id] = w
	}
	w.delay = min(max(2*w.delay, time.Second), 30*time.Second)
	w.next = time.Now().Add(w.delay)
}

// stall keeps gossip from a peer that does not keep up; sync serves it.
func (v *view) stall(id peer.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stalled[id] = time.Now().Add(stallTime)
	v.wanting[id] = &attempt{next: v.stalled[id], delay: stallTime}
}

// tend announces again the peers whose time has come.
func (v *view) tend(now time.Time) {
	v.mu.Lock()
	var due []peer.ID
	for id, w := range v.wanting {
		if !now.Before(w.next) {
			due = append(due, id)
			w.delay = min(max(2*w.delay, time.Second), 30*time.Second)
			w.next = now.Add(w.delay)
		}
	}
	for id, until := range v.stalled {
		if now.After(until) {
			delete(v.stalled, id)
		}
	}
	v.mu.Unlock()
	for _, id := range due {
		v.announce(id)
	}
}

var errNotInView = errors.New("gossip neither dials nor listens")

// NewStream implements host.Host: a tagged gossip stream over an open connection.
func (v *view) NewStream(ctx context.Context, id peer.ID, _ ...libp2p.ID) (network.Stream, error) {
	m := v.owner.roster.Load().memberships[v.agreement]
	if m == nil || !v.admits(id) {
		return nil, errNotInView
	}
	s, err := v.owner.open(ctx, m, m.keys[0], kindGossip, id)
	if err != nil {
		v.missed(id)
		return nil, err
	}
	s.out = v.owner.gossipWriter(s)
	return s, nil
}

// SetStreamHandler implements host.Host.
func (v *view) SetStreamHandler(_ libp2p.ID, handler network.StreamHandler) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.handler = handler
}

// SetStreamHandlerMatch implements host.Host.
func (v *view) SetStreamHandlerMatch(id libp2p.ID, _ func(libp2p.ID) bool, handler network.StreamHandler) {
	v.SetStreamHandler(id, handler)
}

// RemoveStreamHandler implements host.Host.
func (v *view) RemoveStreamHandler(id libp2p.ID) { v.SetStreamHandler(id, nil) }

func (v *view) streamHandler() network.StreamHandler {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.handler
}

// Connect implements host.Host. Gossip never causes a dial.
func (v *view) Connect(context.Context, peer.AddrInfo) error { return errNotInView }

// EventBus implements host.Host.
func (v *view) EventBus() event.Bus { return v.bus }

// ConnManager implements host.Host. Connections are kept by membership, and a
// shared manager would mix the agreements' topic names.
func (v *view) ConnManager() connmgr.ConnManager { return connmgr.NullConnMgr{} }

// Network implements host.Host.
func (v *view) Network() network.Network { return viewNetwork{v.Host.Network(), v} }

// Close implements host.Host. The view does not own the host.
func (v *view) Close() error { return nil }

// viewNetwork is the network of a view.
type viewNetwork struct {
	network.Network
	v *view
}

// Peers implements network.Network.
func (n viewNetwork) Peers() []peer.ID {
	var ids []peer.ID
	for _, id := range n.Network.Peers() {
		if n.v.admits(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Conns implements network.Network.
func (n viewNetwork) Conns() []network.Conn {
	var conns []network.Conn
	for _, c := range n.Network.Conns() {
		if n.v.admits(c.RemotePeer()) {
			conns = append(conns, viewConn{c, n.v})
		}
	}
	return conns
}

// ConnsToPeer implements network.Network.
func (n viewNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	if !n.v.admits(id) {
		return nil
	}
	conns := n.Network.ConnsToPeer(id)
	wrapped := make([]network.Conn, len(conns))
	for i, c := range conns {
		wrapped[i] = viewConn{c, n.v}
	}
	return wrapped
}

// Connectedness implements network.Network.
func (n viewNetwork) Connectedness(id peer.ID) network.Connectedness {
	if !n.v.admits(id) {
		return network.NotConnected
	}
	return n.Network.Connectedness(id)
}

// Notify implements network.Network.
func (n viewNetwork) Notify(network.Notifiee) {}

// StopNotify implements network.Network.
func (n viewNetwork) StopNotify(network.Notifiee) {}

// DialPeer implements network.Network.
func (n viewNetwork) DialPeer(context.Context, peer.ID) (network.Conn, error) {
	return nil, errNotInView
}

// NewStream implements network.Network.
func (n viewNetwork) NewStream(context.Context, peer.ID) (network.Stream, error) {
	return nil, errNotInView
}

// ClosePeer implements network.Network.
func (n viewNetwork) ClosePeer(peer.ID) error { return errNotInView }

// SetStreamHandler implements network.Network.
func (n viewNetwork) SetStreamHandler(network.StreamHandler) {}

// Listen implements network.Network.
func (n viewNetwork) Listen(...ma.Multiaddr) error { return errNotInView }

// Close implements network.Network.
func (n viewNetwork) Close() error { return nil }

// viewConn shows the agreement's gossip streams of a connection and no other:
// PubSub looks there for the direction in which a peer was dialled.
type viewConn struct {
	network.Conn
	v *view
}

// GetStreams implements network.Conn.
func (c viewConn) GetStreams() []network.Stream {
	return c.v.owner.streams.gossip(c.v.agreement, c.Conn)
}
