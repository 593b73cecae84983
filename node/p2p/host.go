package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	basic "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"entente/protocol"
)

// Handler is the node behind a Host. Its methods are called from many
// goroutines at once. A peer is identified by its Transport key; Author is zero
// for a reader of public agreements.
type Handler interface {
	// Check judges a gossiped frame inside the validator: it must be quick,
	// must not block and must write no state. The message, set when the verdict
	// is Accept, is carried to Deliver so that nothing is verified twice.
	Check(from protocol.Peer, agreement protocol.AgreementID, topic string, frame []byte) (protocol.Verdict, *protocol.Message)
	// Deliver takes an accepted gossiped message. It may block for a while;
	// when it reports false the message was not taken, and the Host schedules
	// a sync.
	Deliver(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, m *protocol.Message) bool
	// Frontier tells what reader may know of the logs held.
	Frontier(reader protocol.Peer, agreement protocol.AgreementID) protocol.Frontier
	// Wants says which ranges to ask of a peer that has theirs.
	Wants(from protocol.Peer, agreement protocol.AgreementID, theirs protocol.Frontier) []protocol.Want
	// Serve calls yield with the frames of a range, in order, as reader may
	// have them, until yield returns false.
	Serve(ctx context.Context, reader protocol.Peer, agreement protocol.AgreementID, want protocol.Want, yield func(frame []byte) bool) error
	// Take takes synced frames in the order they were sent and returns when
	// they are durable. An error ends the session with that peer.
	Take(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, frames [][]byte) error
	// Documents returns the versions and signatures of an agreement that reader
	// may have, oldest first, and the records (profiles, where it is public) of
	// its parties.
	Documents(reader protocol.Peer, agreement protocol.AgreementID) []protocol.Document
	// TakeDocuments takes the answer to a question for documents.
	TakeDocuments(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, documents []protocol.Document) error
	// Guest judges who shows the secret of the invite with this door: the peer with
	// the transport key, and its records. The answer is what the guest gets; after
	// an error it gets nothing and is not told why.
	Guest(ctx context.Context, transport protocol.PublicKey, door protocol.Hash, secret [32]byte, documents []protocol.Document) ([]protocol.Document, error)
	// Event takes note of something that happened with a peer. It must not block.
	Event(e protocol.PeerEvent)
}

// Config describes a Host.
type Config struct {
	Key       ed25519.PrivateKey // transport identity
	Public    bool               // a host for public agreements: open to readers
	Listen    []string           // multiaddrs
	Handler   Handler
	Logger    *slog.Logger
	SyncEvery time.Duration   // with a random peer; default 45 s
	Extra     []libp2p.Option // for simulated networks in tests
}

// Host is a libp2p host with everything on it. It serves either private or
// public agreements, never both.
type Host struct {
	cfg      Config
	self     peer.ID
	net      host.Host
	roster   *atomic.Pointer[roster] // written by Update alone
	guests   *guests
	refusals *refusals
	losses   *losses
	peers    *peerTable
	streams  *streamSet
	sync     *scheduler
	tasks    *tasks
	redial   chan struct{}
	ctx      context.Context // ends with the host
	cancel   context.CancelFunc
	updating sync.Mutex // held by Update: one at a time
	mu       sync.RWMutex
	groups   map[protocol.AgreementID]*group // owner: mu, written by Update alone
}

// New makes a host that listens but knows nobody yet. Run must be called, or
// Close. It fails with Invalid when the key or an address is no good, and with
// Other when it cannot listen.
func New(cfg Config) (*Host, error) {
	const op = "start the network"
	if len(cfg.Key) != ed25519.PrivateKeySize || cfg.Handler == nil {
		return nil, protocol.Errorf(protocol.Invalid, op, "a host needs an Ed25519 key and a handler")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.SyncEvery <= 0 {
		cfg.SyncEvery = 45 * time.Second
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op, err, "")
	}
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op, err, "")
	}
	h := &Host{
		cfg: cfg, self: self, roster: &atomic.Pointer[roster]{}, guests: newGuests(), refusals: newRefusals(), losses: newLosses(),
		peers: newPeerTable(), streams: newStreamSet(), tasks: &tasks{}, redial: make(chan struct{}, 1),
		groups: map[protocol.AgreementID]*group{},
	}
	empty, err := newRoster(nil, cfg.Public, self)
	if err != nil {
		return nil, err
	}
	h.roster.Store(empty)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.sync = newScheduler(h)
	if h.net, err = h.listen(key); err != nil {
		h.cancel()
		return nil, protocol.E(protocol.Other, op, err, "check the listen addresses, and that no other process uses the ports")
	}
	h.net.SetStreamHandler(protocolID, h.accept)
	return h, nil
}

// listen makes the libp2p host, with everything off that is not needed: no
// relay, no NAT service, no discovery, no ping, no metrics registry.
func (h *Host) listen(key crypto.PrivKey) (host.Host, error) {
	resources, err := newResourceManager()
	if err != nil {
		return nil, err
	}
	var connections connmgr.ConnManager = connmgr.NullConnMgr{}
	if h.cfg.Public {
		if connections, err = basic.NewConnManager(512, 640, basic.WithGracePeriod(time.Minute)); err != nil {
			return nil, errors.Join(err, resources.Close())
		}
	}
	listen := libp2p.ListenAddrStrings(h.cfg.Listen...)
	if len(h.cfg.Listen) == 0 {
		listen = libp2p.NoListenAddrs
	}
	options := append([]libp2p.Option{
		libp2p.Identity(key),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DefaultMuxers,
		libp2p.ConnectionGater(&gate{public: h.cfg.Public, roster: h.roster, guests: h.guests, refusals: h.refusals}),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connections),
		libp2p.UserAgent("entente"),
		libp2p.ProtocolVersion("entente"),
		libp2p.Ping(false),
		libp2p.DisableRelay(),
		libp2p.ForceReachabilityPublic(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
		listen,
	}, h.cfg.Extra...)
	made, err := libp2p.New(options...)
	if err != nil {
		return nil, errors.Join(err, resources.Close())
	}
	return made, nil
}

// Run keeps connections, gossip and sync going until ctx ends, then closes the
// host and waits for everything it started.
func (h *Host) Run(ctx context.Context) error {
	watching, err := h.watch()
	if err != nil {
		return errors.Join(protocol.E(protocol.Other, "run the network", err, ""), h.Close())
	}
	h.tasks.run(watching)
	h.tasks.run(h.dialLoop)
	h.tasks.run(h.sync.loop)
	h.tasks.run(h.tendLoop)
	select {
	case <-ctx.Done():
	case <-h.ctx.Done():
	}
	return h.Close()
}

// Close ends everything at once and waits for it. Run calls it; a host that
// was never run must be closed by hand. It may be called more than once.
func (h *Host) Close() error {
	h.cancel()
	h.updating.Lock() // an Update that is under way ends first; later ones refuse
	h.mu.Lock()
	groups := h.groups
	h.groups = map[protocol.AgreementID]*group{}
	h.mu.Unlock()
	h.updating.Unlock()
	for _, g := range groups {
		g.stop()
	}
	h.streams.close()
	err := h.net.Close()
	h.tasks.wait()
	if err != nil {
		return fmt.Errorf("close the network: %w", err)
	}
	return nil
}

// Update replaces what the host joins and whom it admits. Connections to nodes
// that are in no membership any more are closed, and streams of agreements to
// peers that are no longer in them. It fails with Invalid when the memberships
// contradict themselves or this host's kind; then nothing has changed.
func (h *Host) Update(memberships []protocol.Membership) error {
	h.updating.Lock()
	defer h.updating.Unlock()
	if h.ctx.Err() != nil {
		return protocol.Errorf(protocol.Unreachable, "update the network", "the host is closed")
	}
	before := h.roster.Load()
	next, err := newRoster(memberships, h.cfg.Public, h.self)
	if err != nil {
		return err
	}
	h.roster.Store(next)
	for id, g := range h.groups { // written by Update alone, which holds updating
		m := next.memberships[id]
		if m == nil || m.Papers || g.degree != degreeFor(len(m.parties)+1) {
			h.mu.Lock()
			delete(h.groups, id)
			h.mu.Unlock()
			g.stop()
		}
	}
	h.streams.cut(func(s *stream) bool { return !h.mayHold(s) })
	for id := range before.nodes {
		if _, known := next.nodes[id]; !known {
			_ = h.net.Network().ClosePeer(id)
		}
	}
	var failed error
	for _, m := range next.order {
		if !m.Papers {
			failed = errors.Join(failed, h.joinGroup(m))
		}
	}
	for id := range next.nodes {
		if _, known := before.nodes[id]; !known {
			h.peers.hurry(id, id < h.self)
		}
	}
	h.sync.rosterChanged(before, next)
	wake(h.redial)
	return failed
}

// joinGroup starts the membership's gossip where it does not run, joins its
// topics, and offers it the connected peers.
func (h *Host) joinGroup(m *membership) error {
	g := h.group(m.Agreement)
	if g == nil {
		var err error
		if g, err = h.newGroup(m); err != nil {
			return protocol.E(protocol.Other, "update the network", err, "")
		}
	}
	h.mu.Lock()
	h.groups[m.Agreement] = g
	err := g.join(m)
	h.mu.Unlock()
	if err != nil {
		return protocol.E(protocol.Other, "update the network", err, "")
	}
	for id := range m.parties {
		g.view.announce(id)
	}
	return nil
}

func (h *Host) group(agreement protocol.AgreementID) *group {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.groups[agreement]
}

func (h *Host) allGroups() []*group {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]*group, 0, len(h.groups))
	for _, g := range h.groups {
		all = append(all, g)
	}
	return all
}

func (h *Host) membership(agreement protocol.AgreementID) *membership {
	return h.roster.Load().memberships[agreement]
}

// Broadcast gossips a frame to the topic. It fails with Unreachable when the
// host has not joined it, and with Limit when the frame is too large; having no
// peers is no failure.
func (h *Host) Broadcast(ctx context.Context, agreement protocol.AgreementID, topic string, frame []byte) error {
	const op = "gossip a message"
	if len(frame) > maxFrame {
		return protocol.Errorf(protocol.Limit, op, "a message of %d bytes; at most %d are sent", len(frame), maxFrame)
	}
	h.mu.RLock()
	var t *joined
	if g := h.groups[agreement]; g != nil {
		t = g.topics[topic]
	}
	h.mu.RUnlock()
	if t == nil {
		return protocol.Errorf(protocol.Unreachable, op, "topic %q of agreement %s is not joined", topic, agreement.Short())
	}
	if err := t.topic.Publish(ctx, frame); err != nil {
		return protocol.E(protocol.Unreachable, op, err, "")
	}
	return nil
}

// Addresses returns the multiaddrs on which the host can be reached, without /p2p.
func (h *Host) Addresses() []string {
	addresses := h.net.Addrs()
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return texts
}

// PeerID returns the host's libp2p peer id.
func (h *Host) PeerID() string { return h.self.String() }
