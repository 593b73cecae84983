package p2p

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"entente/protocol"
)

// gate admits to a member host the nodes of its memberships and, while an invite
// is open, a few guests who may hold it; nobody else, in both directions, before any
// protocol is spoken. On a public host anyone
// may connect, and limits do the rest.
type gate struct {
	public   bool
	roster   *atomic.Pointer[roster]
	guests   *guests
	refusals *refusals
}

func (g *gate) admits(id peer.ID) bool {
	if g.public {
		return true
	}
	_, known := g.roster.Load().nodes[id]
	return known || g.guests.has(id, time.Now())
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(id peer.ID) bool { return g.admits(id) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater: here the peer's key is
// proved and nothing has been said yet.
func (g *gate) InterceptSecured(way network.Direction, id peer.ID, at network.ConnMultiaddrs) bool {
	if g.admits(id) || (way == network.DirInbound && g.guests.knock(id, time.Now())) {
		return true
	}
	g.refusals.note(id, "stranger", at.RemoteMultiaddr().String())
	return false
}

// InterceptUpgraded implements connmgr.ConnectionGater. It asks again, since
// the roster may have changed during the handshake.
func (g *gate) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.admits(c.RemotePeer()), 0
}

// refusals gathers what was refused, so that a flood of it becomes a few events.
type refusals struct {
	mu    sync.Mutex
	held  map[refusal]*refused // owner: mu; bounded by maxRefusals
	other int                  // owner: mu; refusals that found no room in held
}

type refusal struct {
	id     peer.ID
	reason string
}

type refused struct {
	count   int
	address string
}

// maxRefusals is the number of peers and reasons told apart between two flushes.
const maxRefusals = 32

func newRefusals() *refusals { return &refusals{held: map[refusal]*refused{}} }

func (r *refusals) note(id peer.ID, reason, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := refusal{id, reason}
	if held := r.held[at]; held != nil {
		held.count++
		return
	}
	if len(r.held) >= maxRefusals {
		r.other++
		return
	}
	r.held[at] = &refused{count: 1, address: address}
}

// flush returns one event for each peer and reason, with the number of times
// in Messages, and one for all that found no room.
func (r *refusals) flush(now time.Time, known *roster) []protocol.PeerEvent {
	r.mu.Lock()
	held, other := r.held, r.other
	if len(held) == 0 && other == 0 {
		r.mu.Unlock()
		return nil
	}
	r.held, r.other = map[refusal]*refused{}, 0
	r.mu.Unlock()
	var events []protocol.PeerEvent
	for at, what := range held {
		events = append(events, protocol.PeerEvent{
			Time: now, Kind: protocol.PeerRefused, Peer: known.person(nil, at.id), PeerID: at.id.String(),
			Detail: fmt.Sprintf("%s, from %s", at.reason, what.address), Messages: what.count,
		})
	}
	if other > 0 {
		events = append(events, protocol.PeerEvent{
			Time: now, Kind: protocol.PeerRefused, Detail: "others, not told apart", Messages: other,
		})
	}
	return events
}
