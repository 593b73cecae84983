package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"entente/protocol"
)

// world is a simulated network with hosts of ours and of others on it.
type world struct {
	t     *testing.T
	net   *simnet.Simnet
	link  simnet.NodeBiDiLinkSettings
	count int
}

// member is one node of ours in a world.
type member struct {
	*fake
	host   *Host
	key    ed25519.PrivateKey
	peer   protocol.Peer
	cfg    Config
	stop   context.CancelFunc
	ended  chan error
	joined []protocol.Membership
}

// newWorld makes a network with 20 ms each way and 100 Mbit/s links.
func newWorld(t *testing.T) *world {
	t.Helper()
	const rate = 100 * simlibp2p.OneMbps
	w := &world{t: t, net: &simnet.Simnet{LatencyFunc: simnet.StaticLatency(20 * time.Millisecond)}}
	w.link.Uplink.BitsPerSecond, w.link.Downlink.BitsPerSecond = rate, rate
	w.net.Start()
	t.Cleanup(w.net.Close)
	return w
}

// address returns the next free address.
func (w *world) address() string {
	w.count++
	return fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(w.count))
}

// keyOf returns a fixed key for a name.
func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicKey(key ed25519.PrivateKey) (p protocol.PublicKey) {
	copy(p[:], key.Public().(ed25519.PublicKey))
	return p
}

// add starts a node of the given name.
func (w *world) add(name string, public bool) *member {
	w.t.Helper()
	address := w.address()
	key := keyOf(name)
	author := protocol.Author{Member: protocol.MemberID(sha256.Sum256([]byte(name)))}
	m := &member{
		fake: newFake(author), key: key,
		peer: protocol.Peer{Author: author, Name: name, Transport: publicKey(key), Addresses: []string{address}},
	}
	m.cfg = Config{
		Key: key, Public: public, Listen: []string{address}, Handler: m.fake, Logger: slog.New(slog.DiscardHandler),
		Extra: []libp2p.Option{simlibp2p.QUICSimnet(w.net, w.link)},
	}
	m.start(w.t)
	w.t.Cleanup(m.down)
	return m
}

// start makes the member's host and runs it.
func (m *member) start(t *testing.T) {
	t.Helper()
	var err error
	if m.host, err = New(m.cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop, m.ended = cancel, make(chan error, 1)
	go func(h *Host, ended chan error) { ended <- h.Run(ctx) }(m.host, m.ended)
	if err := m.host.Update(m.joined); err != nil {
		t.Fatal(err)
	}
}

// down ends the member's host and waits for it.
func (m *member) down() {
	if m.stop == nil {
		return
	}
	m.stop()
	<-m.ended
	m.stop = nil
}

// update gives the member its memberships.
func (m *member) update(t *testing.T, memberships ...protocol.Membership) {
	t.Helper()
	m.joined = memberships
	if err := m.host.Update(memberships); err != nil {
		t.Fatal(err)
	}
}

// pact is an agreement as a test writes it down.
type pact struct {
	id     protocol.AgreementID
	heads  []protocol.Hash
	topics []string
	public bool
	barred map[string][]protocol.MemberID
}

func newPact(name string, topics ...string) *pact {
	return &pact{
		id:     protocol.AgreementID(sha256.Sum256([]byte("agreement " + name))),
		heads:  []protocol.Hash{sha256.Sum256([]byte("head of " + name))},
		topics: topics,
	}
}

// seenBy returns the pact as a membership of one among the parties.
func (p *pact) seenBy(m *member, parties ...*member) protocol.Membership {
	ms := protocol.Membership{
		Agreement: p.id, Public: p.public, Heads: p.heads, Publisher: true, Barred: p.barred,
	}
	for _, topic := range p.topics {
		reads := true
		for _, barred := range p.barred[topic] {
			reads = reads && barred != m.peer.Author.Member
		}
		if reads {
			ms.Topics = append(ms.Topics, topic)
		} else {
			ms.Outlets = append(ms.Outlets, topic)
		}
	}
	for _, other := range parties {
		if other != m {
			ms.Nodes = append(ms.Nodes, other.peer)
		}
	}
	return ms
}

// agree makes all parties join the pact and nothing else.
func agree(t *testing.T, p *pact, parties ...*member) {
	t.Helper()
	for _, m := range parties {
		m.update(t, p.seenBy(m, parties...))
	}
}

// publish appends a message and gossips it.
func (m *member) publish(t *testing.T, p *pact, topic, text string) {
	t.Helper()
	frame := m.fake.publish(p.id, topic, []byte(text))
	if err := m.host.Broadcast(context.Background(), p.id, topic, frame); err != nil {
		t.Fatal(err)
	}
}

// outsider makes a plain libp2p host on the world's network.
func (w *world) outsider(name string) host.Host {
	w.t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(keyOf(name))
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings(w.address()), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), simlibp2p.QUICSimnet(w.net, w.link))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = h.Close() })
	return h
}
