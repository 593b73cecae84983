package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// tasks is every goroutine that the host started.
type tasks struct {
	mu     sync.Mutex
	closed bool // owner: mu
	group  sync.WaitGroup
}

// begin reports whether a task may start; then end must follow.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.group.Add(1)
	return true
}

func (t *tasks) end() { t.group.Done() }

// run starts f in a goroutine of its own, unless the host is closing.
func (t *tasks) run(f func()) {
	if !t.begin() {
		return
	}
	go func() {
		defer t.end()
		f()
	}()
}

// wait takes no more tasks and waits for those that run.
func (t *tasks) wait() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.group.Wait()
}

// watch returns the loop that follows connections as they come and go.
func (h *Host) watch() (func(), error) {
	events, err := h.net.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
	})
	if err != nil {
		return nil, err
	}
	return func() {
		defer func() { _ = events.Close() }()
		for _, id := range h.net.Network().Peers() { // connected before the watch began
			h.arrived(id)
		}
		for {
			select {
			case <-h.ctx.Done():
				return
			case e, open := <-events.Out():
				if !open {
					return
				}
				h.observe(e)
			}
		}
	}, nil
}

func (h *Host) observe(e any) {
	switch e := e.(type) {
	case event.EvtPeerIdentificationCompleted:
		h.arrived(e.Peer)
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness == network.NotConnected && h.net.Network().Connectedness(e.Peer) == network.NotConnected {
			h.left(e.Peer)
		}
	}
}

// arrived notes a peer that is connected and identified: gossip and sync begin.
func (h *Host) arrived(id peer.ID) {
	conns := h.net.Network().ConnsToPeer(id)
	if len(conns) == 0 {
		return
	}
	address := conns[0].RemoteMultiaddr().String()
	if h.peers.connect(id, address) {
		h.event(protocol.PeerEvent{Kind: protocol.PeerConnected, PeerID: id.String(), Detail: address}, id, nil)
	}
	for _, m := range h.roster.Load().shared[id] {
		if g := h.group(m.Agreement); g != nil {
			g.view.announce(id)
		}
		h.sync.trigger(m.Agreement, id, 0, false)
	}
}

// left notes the end of a peer's last connection.
func (h *Host) left(id peer.ID) {
	_, known := h.roster.Load().nodes[id]
	if h.peers.disconnect(id, known) {
		h.event(protocol.PeerEvent{Kind: protocol.PeerDisconnected, PeerID: id.String()}, id, nil)
	}
	for _, g := range h.allGroups() {
		g.view.gone(id)
	}
	wake(h.redial)
}

// event completes an event and gives it to the handler.
func (h *Host) event(e protocol.PeerEvent, id peer.ID, m *membership) {
	e.Time = time.Now()
	e.Peer = h.roster.Load().person(m, id)
	e.PeerID = id.String()
	h.cfg.Handler.Event(e)
}

// loss is what a PubSub lost for a peer.
type loss struct {
	agreement protocol.AgreementID
	id        peer.ID
	reason    string
}

// losses gathers what was lost, so that a flood of it becomes a few events.
type losses struct {
	mu   sync.Mutex
	held map[loss]int // owner: mu; bounded by agreements × peers
}

func newLosses() *losses { return &losses{held: map[loss]int{}} }

// lost notes a message that gossip lost to or from a peer, and schedules the
// sync that repairs it. It does not block.
func (h *Host) lost(agreement protocol.AgreementID, id peer.ID, reason string) {
	h.losses.mu.Lock()
	h.losses.held[loss{agreement, id, reason}]++
	h.losses.mu.Unlock()
	h.sync.trigger(agreement, id, time.Second, false)
}

// tendLoop reports what was refused and lost, tries gossip streams that are
// missing, and closes connections that slipped in while the roster changed.
func (h *Host) tendLoop() {
	ticker := time.NewTicker(tendInterval)
	defer ticker.Stop()
	for {
		var now time.Time
		select {
		case <-h.ctx.Done():
			return
		case now = <-ticker.C:
		}
		for _, g := range h.allGroups() {
			g.view.tend(now)
		}
		r := h.roster.Load()
		if !h.cfg.Public {
			for _, id := range h.net.Network().Peers() {
				if _, known := r.nodes[id]; !known && !h.guests.has(id, now) {
					_ = h.net.Network().ClosePeer(id)
				}
			}
		}
		for _, e := range h.refusals.flush(now, r) {
			h.cfg.Handler.Event(e)
		}
		h.reportLosses()
	}
}

func (h *Host) reportLosses() {
	h.losses.mu.Lock()
	held := h.losses.held
	h.losses.held = map[loss]int{}
	h.losses.mu.Unlock()
	for l, count := range held {
		h.event(protocol.PeerEvent{
			Kind: protocol.PeerDropped, Agreement: l.agreement, Detail: l.reason, Messages: count,
		}, l.id, h.membership(l.agreement))
	}
}
