package p2p

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"entente/protocol"
)

// peerTable holds what the host knows of each peer's health.
type peerTable struct {
	mu   sync.Mutex
	byID map[peer.ID]*peerState // owner: mu
}

// peerState is one peer's health. The counters stand alone; all else is owned
// by the table's mutex.
type peerState struct {
	sent, received atomic.Uint64 // bytes on tagged streams

	connected bool
	address   string
	since     time.Time
	rtt       time.Duration
	pinged    bool // rtt is from a ping, not from the opening of a stream
	lastError string
	failures  int
	dialing   bool
	next      time.Time // the next dial, no sooner
}

func newPeerTable() *peerTable { return &peerTable{byID: map[peer.ID]*peerState{}} }

// state returns the peer's state, new where there is none.
func (t *peerTable) state(id peer.ID) *peerState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.get(id)
}

func (t *peerTable) get(id peer.ID) *peerState {
	s := t.byID[id]
	if s == nil {
		s = &peerState{}
		t.byID[id] = s
	}
	return s
}

// connect notes a connection and reports whether there was none before.
func (t *peerTable) connect(id peer.ID, address string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(id)
	first := !s.connected
	s.connected, s.address, s.lastError, s.failures = true, address, "", 0
	if first {
		s.since = time.Now()
	}
	return first
}

// disconnect notes the end of the last connection, reports whether there was
// one, and forgets a peer that is not to be kept.
func (t *peerTable) disconnect(id peer.ID, keep bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil {
		return false
	}
	was := s.connected
	if was {
		s.connected, s.address, s.since = false, "", time.Now()
		s.next = time.Now().Add(patience())
	}
	if !keep {
		delete(t.byID, id)
	}
	return was
}

// roundTrip notes how long it took to open a stream, until a ping knows better.
func (t *peerTable) roundTrip(s *peerState, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.pinged {
		s.rtt = d
	}
}

// ping notes a measured round trip.
func (t *peerTable) ping(id peer.ID, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(id)
	s.rtt, s.pinged = d, true
}

// Dials to a node come 1, 2, 4 … 60 seconds apart, give or take a quarter.
const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute
)

// patience is how long to wait after a connection ended, so that both sides do
// not dial at the same moment.
func patience() time.Duration { return jitter(600 * time.Millisecond) }

// jitter returns d, give or take a quarter.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// failed notes a dial that failed.
func (t *peerTable) failed(id peer.ID, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(id)
	s.dialing = false
	s.lastError = shortError(err)
	s.backOff()
}

// dialled notes a dial that did not fail. A host that does not admit this node
// cuts the connection only after the handshake, so until the peer is identified
// the dial counts as one that failed.
func (t *peerTable) dialled(id peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(id)
	s.dialing = false
	if !s.connected {
		s.lastError = "the connection was made and cut: the peer may not know this node yet"
		s.backOff()
	}
}

// backOff sets the next dial. The caller holds the table's mutex.
func (s *peerState) backOff() {
	s.failures++
	s.next = time.Now().Add(jitter(min(firstBackoff<<min(s.failures-1, 10), lastBackoff)))
}

// shortError keeps one line of what may be a long list of addresses tried.
func shortError(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	return text
}

// due claims up to most of the nodes that are to be dialled now, and returns
// when the next one will be.
func (t *peerTable) due(nodes map[peer.ID]protocol.Peer, now time.Time, most int) (ids []peer.ID, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next = now.Add(lastBackoff)
	for _, s := range t.byID {
		if s.dialing {
			most--
		}
	}
	for id, node := range nodes {
		s := t.get(id)
		if s.connected || s.dialing || len(node.Addresses) == 0 {
			continue
		}
		if s.next.After(now) || most <= 0 {
			if s.next.Before(next) {
				next = s.next
			}
			continue
		}
		s.dialing = true
		most--
		ids = append(ids, id)
	}
	return ids, next
}

// dialLoop keeps trying all nodes of the roster that are not connected.
func (h *Host) dialLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-timer.C:
		case <-h.redial:
		}
		now := time.Now()
		ids, next := h.peers.due(h.roster.Load().nodes, now, maxDials)
		for _, id := range ids {
			h.tasks.run(func() { h.dial(h.ctx, id) })
		}
		timer.Reset(max(next.Sub(now), 50*time.Millisecond))
	}
}

// dial tries the node's addresses once. The node must have been claimed by due.
func (h *Host) dial(ctx context.Context, id peer.ID) {
	err := h.connect(ctx, id)
	if err != nil {
		h.peers.failed(id, err)
	} else {
		h.peers.dialled(id)
	}
	wake(h.redial)
}

// connect connects to a node of the roster at the addresses of its record.
func (h *Host) connect(ctx context.Context, id peer.ID) error {
	if h.net.Network().Connectedness(id) == network.Connected {
		return nil
	}
	node := h.roster.Load().nodes[id]
	info := peer.AddrInfo{ID: id}
	for _, address := range node.Addresses {
		if a, err := ma.NewMultiaddr(address); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	h.net.Peerstore().ClearAddrs(id)
	return h.connectTo(ctx, info)
}

func (h *Host) connectTo(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// The library remembers failed addresses for a while; how often to try is
	// decided here.
	if s, ok := h.net.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(info.ID)
	}
	return h.net.Connect(ctx, info)
}

// wake makes a loop look again; one signal that waits is enough.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Peers tells about every peer known from memberships or connected, sorted by
// name and peer id.
func (h *Host) Peers() []protocol.PeerStatus {
	r := h.roster.Load()
	kind := "member"
	if h.cfg.Public {
		kind = "public"
	}
	var all []protocol.PeerStatus
	h.peers.mu.Lock()
	for id := range r.nodes {
		h.peers.get(id)
	}
	for id, s := range h.peers.byID {
		if _, known := r.nodes[id]; !known && !s.connected {
			continue
		}
		all = append(all, protocol.PeerStatus{
			Peer: r.person(nil, id), PeerID: id.String(), Host: kind, Connected: s.connected,
			Address: s.address, Since: s.since, RTT: s.rtt, LastError: s.lastError,
			Sent: s.sent.Load(), Received: s.received.Load(),
		})
	}
	h.peers.mu.Unlock()
	slices.SortFunc(all, func(a, b protocol.PeerStatus) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.PeerID, b.PeerID)
	})
	return all
}

// hurry lets a node be dialled without delay, or after the moment in which the
// other side is to do it.
func (t *peerTable) hurry(id peer.ID, other bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(id)
	s.next = time.Time{}
	if other {
		s.next = time.Now().Add(patience())
	}
}
