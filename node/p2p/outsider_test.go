package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2p "github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"entente/protocol"
)

// eavesdropper is a PubSub of an outsider's that remembers all it is told.
type eavesdropper struct {
	tracer // for the methods that do nothing here
	mu     sync.Mutex
	rpcs   int
}

func (e *eavesdropper) RecvRPC(*pubsub.RPC) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rpcs++
}
func (e *eavesdropper) OnNewOutboundStream(peer.ID, libp2p.ID)               {}
func (e *eavesdropper) OnClosedOutboundStream(peer.ID)                       {}
func (e *eavesdropper) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (e *eavesdropper) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (e *eavesdropper) DropRPC(*pubsub.RPC, peer.ID)                         {}
func (e *eavesdropper) UndeliverableMessage(*pubsub.Message)                 {}
func (e *eavesdropper) RejectMessage(*pubsub.Message, string)                {}
func (e *eavesdropper) heard() int                                           { e.mu.Lock(); defer e.mu.Unlock(); return e.rpcs }

// spy joins the topic with a PubSub of the router given and publishes to it.
func spy(t *testing.T, ctx context.Context, h host.Host, topic string, start func(context.Context, host.Host, ...pubsub.Option) (*pubsub.PubSub, error)) (*eavesdropper, *pubsub.Subscription, *pubsub.Topic) {
	t.Helper()
	ears := &eavesdropper{}
	ps, err := start(ctx, h, pubsub.WithRawTracer(ears), pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(), pubsub.WithMessageIdFn(messageID))
	if err != nil {
		t.Fatal(err)
	}
	joined, err := ps.Join(topic)
	if err != nil {
		t.Fatal(err)
	}
	subscription, err := joined.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	return ears, subscription, joined
}

// addrs returns where a member can be reached.
func (m *member) addrs(t *testing.T) peer.AddrInfo {
	t.Helper()
	id, err := peerID(m.peer.Transport)
	if err != nil {
		t.Fatal(err)
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(m.peer.Addresses[0])}}
}

// A stranger that speaks every kind of pubsub does not get a connection to a
// member's host, and the members do not get its messages.
func TestStrangerIsKeptOut(t *testing.T) {
	for name, start := range map[string]func(context.Context, host.Host, ...pubsub.Option) (*pubsub.PubSub, error){
		"floodsub": pubsub.NewFloodSub, "gossipsub": pubsub.NewGossipSub,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := newWorld(t)
				p := newPact("alliance", "indicators")
				a, b := w.add("a", false), w.add("b", false)
				agree(t, p, a, b)
				stranger := w.outsider("stranger")
				ears, subscription, topic := spy(t, ctx, stranger, "indicators", start)
				pass(5 * time.Second)
				for _, m := range []*member{a, b} {
					for range 5 {
						_ = stranger.Connect(ctx, m.addrs(t))
						pass(time.Second)
					}
				}
				for i := range 20 {
					a.publish(t, p, "indicators", fmt.Sprint(i))
					if err := topic.Publish(ctx, makeFrame(b.self, uint64(i+1), "indicators", []byte("forged"))); err != nil {
						t.Fatal(err)
					}
					pass(100 * time.Millisecond)
				}
				eventually(t, 10*time.Second, "the members' own messages at b", func() bool { return b.held(p.id) == 20 })
				if n := ears.heard(); n != 0 {
					t.Errorf("the stranger was told %d RPCs", n)
				}
				short, stop := context.WithTimeout(ctx, time.Second)
				defer stop()
				for {
					m, err := subscription.Next(short)
					if err != nil {
						break
					}
					if m.ReceivedFrom != stranger.ID() {
						t.Error("the stranger received a message")
					}
				}
				for _, m := range []*member{a, b} {
					if m.host.net.Network().Connectedness(stranger.ID()) == network.Connected {
						t.Errorf("%s holds a connection with the stranger", m.peer.Name)
					}
					if protocols, _ := stranger.Peerstore().GetProtocols(m.addrs(t).ID); len(protocols) > 0 {
						t.Errorf("identify told the stranger %v", protocols)
					}
				}
				if n := b.count(&b.checked); n != 20 {
					t.Errorf("b judged %d frames, not the 20 of a", n)
				}
				if n := a.count(&a.checked); n != 0 {
					t.Errorf("a judged %d frames of the stranger's", n)
				}
				if events, messages := a.seen(protocol.PeerRefused); events == 0 || messages < 1 {
					t.Errorf("a tells of %d refusals in %d events", messages, events)
				}
			})
		})
	}
}

// A party of another agreement is connected, rightly, and learns nothing of the
// one that it is no party to: by what it hears, by what it is told about
// itself, or by trying to speak PubSub or a tag of its own making.
func TestNeighbourLearnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(t)
		secret, shared := newPact("secret", "operations"), newPact("shared", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		neighbour := w.outsider("neighbour")
		key := publicKey(keyOf("neighbour"))
		n := &member{fake: newFake(protocol.Author{Member: protocol.MemberID{9}}), peer: protocol.Peer{
			Author: protocol.Author{Member: protocol.MemberID{9}}, Name: "neighbour", Transport: key, Addresses: []string{neighbour.Addrs()[0].String()},
		}}
		for _, m := range []*member{a, b} {
			m.update(t, secret.seenBy(m, a, b), shared.seenBy(m, a, b, n))
		}
		flood, _, _ := spy(t, ctx, neighbour, "operations", pubsub.NewFloodSub)
		told, err := neighbour.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = told.Close() }()
		if err := neighbour.Connect(ctx, a.addrs(t)); err != nil {
			t.Fatal(err)
		}
		identity := (<-told.Out()).(event.EvtPeerIdentificationCompleted)
		for i := range 20 {
			a.publish(t, secret, "operations", fmt.Sprint(i))
			pass(100 * time.Millisecond)
		}
		eventually(t, 10*time.Second, "the messages at b", func() bool { return b.held(secret.id) == 20 })
		if flood.heard() != 0 {
			t.Errorf("the neighbour was told %d RPCs", flood.heard())
		}
		identifyTellsNothing(t, identity, secret, shared)
		tagsOf(t, ctx, a, neighbour, secret, shared)
		if len(a.topics) > 0 {
			t.Errorf("a was asked to judge %v", a.topics)
		}
	})
}

// identifyTellsNothing looks through all that identify tells of a host.
func identifyTellsNothing(t *testing.T, identity event.EvtPeerIdentificationCompleted, pacts ...*pact) {
	t.Helper()
	allowed := map[libp2p.ID]bool{"/ipfs/id/1.0.0": true, "/ipfs/id/push/1.0.0": true, protocolID: true}
	for _, id := range identity.Protocols {
		if !allowed[id] {
			t.Errorf("identify tells of the protocol %s", id)
		}
	}
	if identity.AgentVersion != "entente" || identity.ProtocolVersion != "entente" {
		t.Errorf("identify tells of %q and %q", identity.AgentVersion, identity.ProtocolVersion)
	}
	text, err := json.Marshal([]any{identity.ListenAddrs, identity.Protocols, identity.AgentVersion, identity.ProtocolVersion})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pacts {
		for _, word := range append([]string{p.id.String(), p.heads[0].String(), p.id.Short()}, p.topics...) {
			if strings.Contains(string(text), word) {
				t.Errorf("identify tells of %s", word)
			}
		}
	}
}

// tagsOf tries tags of which none may be taken, and one that must be.
func tagsOf(t *testing.T, ctx context.Context, m *member, from host.Host, secret, shared *pact) {
	t.Helper()
	to := m.addrs(t).ID
	random := tagKey(sha256.Sum256([]byte("a guess")))
	// The neighbour is given the secret agreement's hash, as a party that was
	// removed would have it: it is refused as one who guesses.
	outcomes := map[string]string{}
	for name, try := range map[string]struct {
		key  tagKey
		kind kind
	}{
		"guess": {random, kindSync}, "known but no party": {headKey(secret.heads[0]), kindSync},
		"documents": {headKey(secret.heads[0]), kindDocuments}, "ping": {headKey(secret.heads[0]), kindPing},
		"gossip": {headKey(secret.heads[0]), kindGossip}, "no such kind": {headKey(shared.heads[0]), 77},
	} {
		outcomes[name] = knock(t, ctx, from, to, newTag(try.key, try.kind, from.ID(), to))
	}
	reversed := newTag(headKey(shared.heads[0]), kindSync, to, from.ID())
	outcomes["of the other direction"] = knock(t, ctx, from, to, reversed)
	for name, outcome := range outcomes {
		if outcome != outcomes["guess"] || !strings.HasPrefix(outcome, "0 bytes after 40ms") {
			t.Errorf("%s: %q, where a guess gives %q", name, outcome, outcomes["guess"])
		}
	}
	right := newTag(headKey(shared.heads[0]), kindSync, from.ID(), to)
	if outcome := knock(t, ctx, from, to, right); !strings.HasPrefix(outcome, "32 bytes") {
		t.Errorf("the right tag gives %q", outcome)
	}
	short := bytes.Repeat([]byte{1}, 7) // never completed: ends at the deadline
	if outcome := knock(t, ctx, from, to, [tagSize]byte{}, short); !strings.HasPrefix(outcome, "0 bytes after 5.0") {
		t.Errorf("half a tag gives %q", outcome)
	}
}

// knock opens a stream with the tag and tells what came of it, in how long.
func knock(t *testing.T, ctx context.Context, from host.Host, to peer.ID, tag [tagSize]byte, instead ...[]byte) string {
	t.Helper()
	s, err := from.NewStream(ctx, to, protocolID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Reset() }()
	what := tag[:]
	if len(instead) > 0 {
		what = instead[0]
	}
	started := time.Now()
	if _, err := s.Write(what); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got [replySize]byte
	n, err := io.ReadFull(s, got[:])
	text := "nil"
	if err != nil {
		text, _, _ = strings.Cut(err.Error(), ": transport error")
	}
	return fmt.Sprintf("%d bytes after %v: %s", n, time.Since(started).Round(10*time.Millisecond), text)
}

// A party that is removed is cut off at once, and does not come back.
func TestRemovedPartyIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, other := newPact("alliance", "indicators"), newPact("other", "news")
		a, b, c := w.add("a", false), w.add("b", false), w.add("c", false)
		for _, m := range []*member{a, b, c} {
			m.update(t, p.seenBy(m, a, b, c), other.seenBy(m, a, b, c))
		}
		eventually(t, 10*time.Second, "meshes", func() bool {
			return len(a.host.group(p.id).ps.ListPeers("indicators")) == 2 && len(c.host.group(p.id).ps.ListPeers("indicators")) == 2
		})
		pass(2 * time.Second)
		a.publish(t, p, "indicators", "before")
		eventually(t, 5*time.Second, "the first at c", func() bool { return c.held(p.id) == 1 })
		// c stays in the other agreement, and keeps the old memberships itself.
		a.update(t, p.seenBy(a, a, b), other.seenBy(a, a, b, c))
		b.update(t, p.seenBy(b, a, b), other.seenBy(b, a, b, c))
		for i := range 20 {
			a.publish(t, p, "indicators", fmt.Sprint("after", i))
		}
		checked := a.count(&a.checked)
		for i := range 5 {
			c.publish(t, p, "indicators", fmt.Sprint("of the removed", i))
			pass(time.Second)
		}
		eventually(t, 5*time.Second, "all at b", func() bool { return b.held(p.id) == 21 })
		c.host.Sync(p.id)
		pass(2 * time.Minute)
		if n := c.held(p.id); n != 1+5 {
			t.Errorf("c has %d messages, not those before it was removed and its own", n)
		}
		if n := a.count(&a.checked); n != checked {
			t.Errorf("a judged %d frames of the removed party's", n-checked)
		}
		c.publish(t, other, "news", "still here")
		eventually(t, 5*time.Second, "the other agreement at a", func() bool { return a.held(other.id) == 1 })
		// Out of the other one too: no connection is left.
		a.update(t, p.seenBy(a, a, b))
		id := c.addrs(t).ID
		pass(time.Second)
		if a.host.net.Network().Connectedness(id) == network.Connected {
			t.Error("a still holds a connection with c")
		}
		// b still seeks a in the other agreement, which is another matter.
		tries := func() (n int) {
			a.mu.Lock()
			defer a.mu.Unlock()
			for _, e := range a.events {
				if e.Kind == protocol.PeerRefused && strings.HasPrefix(e.Detail, "stranger") {
					n += e.Messages
				}
			}
			return n
		}
		pass(time.Minute)
		early := tries()
		pass(4 * time.Minute)
		if a.host.net.Network().Connectedness(id) == network.Connected {
			t.Error("c got a connection again")
		}
		if late := tries() - early; early == 0 || late > early {
			t.Errorf("c was refused %d times in the first minute and %d times in the next four; it must come less and less often", early, late)
		}
		for _, s := range c.host.Peers() {
			if s.Name == "a" && s.LastError == "" {
				t.Error("c does not say that a cuts its connections")
			}
		}
	})
}

// Of a topic that a party may not read, its node gets no message and no word of
// one: only who reads it, which the agreement says, so that it may publish there.
func TestBarredPartyHearsNothingOfTheTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators", "operations")
		a, b, c := w.add("a", false), w.add("b", false), w.add("c", false)
		p.barred = map[string][]protocol.MemberID{"operations": {c.self.Member}}
		a.update(t, p.seenBy(a, a, b, c))
		b.update(t, p.seenBy(b, a, b, c))
		// c breaks the rules: it joins the topic all the same.
		rogue := *p
		rogue.barred = nil
		c.update(t, rogue.seenBy(c, a, b, c))
		eventually(t, 10*time.Second, "meshes", func() bool {
			return len(a.host.group(p.id).ps.ListPeers("operations")) == 1 && len(c.host.group(p.id).ps.ListPeers("indicators")) == 2
		})
		pass(2 * time.Second)
		for i := range 20 {
			a.publish(t, p, "operations", fmt.Sprint(i))
			a.publish(t, p, "indicators", fmt.Sprint(i))
			pass(200 * time.Millisecond)
		}
		eventually(t, 5*time.Second, "all at b", func() bool { return b.held(p.id) == 40 })
		for _, topic := range c.topics {
			if topic != "indicators" {
				t.Fatalf("c was sent a message on %s", topic)
			}
		}
		if n := c.count(&c.checked); n != 20 {
			t.Errorf("c was sent %d messages, not 20", n)
		}
	})
}
