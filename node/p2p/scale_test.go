package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	"entente/protocol"
)

// Two hosts with 200 agreements in common gossip in each of them.
func TestTwoHundredAgreements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		w := newWorld(t)
		a, b := w.add("a", false), w.add("b", false)
		var pacts []*pact
		var ofA, ofB []protocol.Membership
		for i := range n {
			p := newPact(fmt.Sprint("agreement ", i), "indicators")
			pacts = append(pacts, p)
			ofA, ofB = append(ofA, p.seenBy(a, a, b)), append(ofB, p.seenBy(b, a, b))
		}
		goroutines := runtime.NumGoroutine()
		a.update(t, ofA...)
		b.update(t, ofB...)
		started := time.Now()
		eventually(t, time.Minute, "200 meshes", func() bool {
			for _, p := range pacts {
				if len(a.host.group(p.id).ps.ListPeers("indicators")) != 1 || len(b.host.group(p.id).ps.ListPeers("indicators")) != 1 {
					return false
				}
			}
			return true
		})
		t.Logf("200 agreements of two hosts joined after %v, with %d goroutines", time.Since(started), runtime.NumGoroutine()-goroutines)
		pass(2 * time.Second)
		for i, p := range pacts {
			a.publish(t, p, "indicators", fmt.Sprint(i))
			b.publish(t, p, "indicators", fmt.Sprint(i))
		}
		eventually(t, 10*time.Second, "all messages at both", func() bool {
			for _, p := range pacts {
				if a.held(p.id) != 2 || b.held(p.id) != 2 {
					return false
				}
			}
			return true
		})
		for _, m := range []*member{a, b} {
			if n := m.count(&m.synced); n != 0 {
				t.Errorf("%s got %d messages by sync", m.peer.Name, n)
			}
			if events, _ := m.seen(protocol.PeerDropped); events != 0 {
				t.Errorf("%s lost messages", m.peer.Name)
			}
		}
		// And out of all but one again.
		a.update(t, ofA[0])
		b.update(t, ofB[0])
		eventually(t, 10*time.Second, "199 gone", func() bool { return runtime.NumGoroutine()-goroutines < 200 })
	})
}

// Fifty hosts over 20 ms links, of which four can be dialled.
func TestFiftyHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("fifty hosts take seconds")
	}
	synctest.Test(t, func(t *testing.T) { broadcastReachesAll(t, 50, 4) })
}

// The same topic name in two agreements is two topics: nothing crosses over,
// not even a message that is valid in both.
func TestTopicsOfTwoAgreementsDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, q := newPact("one", "indicators"), newPact("two", "indicators")
		a, b, c := w.add("a", false), w.add("b", false), w.add("c", false)
		a.update(t, p.seenBy(a, a, b), q.seenBy(a, a, c))
		b.update(t, p.seenBy(b, a, b))
		c.update(t, q.seenBy(c, a, c))
		eventually(t, 10*time.Second, "meshes", func() bool {
			return len(a.host.group(p.id).ps.ListPeers("indicators")) == 1 && len(a.host.group(q.id).ps.ListPeers("indicators")) == 1
		})
		pass(2 * time.Second)
		b.publish(t, p, "indicators", "only for the first")
		eventually(t, 5*time.Second, "the message at a", func() bool { return a.held(p.id) == 1 })
		pass(time.Minute)
		if a.held(q.id) != 0 || c.held(q.id) != 0 || c.held(p.id) != 0 || c.count(&c.checked) != 0 {
			t.Error("a message of one agreement came into the other")
		}
		if err := b.host.Broadcast(t.Context(), q.id, "indicators", []byte("x")); protocol.KindOf(err) != protocol.Unreachable {
			t.Errorf("broadcast in an agreement that is not joined: %v", err)
		}
		if err := b.host.Broadcast(t.Context(), p.id, "indicators", make([]byte, maxFrame+1)); protocol.KindOf(err) != protocol.Limit {
			t.Errorf("broadcast of a message that is too large: %v", err)
		}
	})
}

// A frame of the greatest size passes gossip.
func TestLargestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		agree(t, p, a, b)
		eventually(t, 10*time.Second, "a mesh", func() bool { return len(a.host.group(p.id).ps.ListPeers("indicators")) == 1 })
		pass(2 * time.Second)
		a.publish(t, p, "indicators", string(make([]byte, maxFrame-frameHead-len("indicators"))))
		eventually(t, 5*time.Second, "the largest frame at b", func() bool { return b.held(p.id) == 1 })
		if b.count(&b.synced) != 0 {
			t.Error("it came by sync")
		}
	})
}

// A company's nodes may all have one address: 64 connections from it are let in.
func TestManyConnectionsFromOneAddress(t *testing.T) {
	m, err := newResourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	from := ma.StringCast("/ip4/203.0.113.7/tcp/4101")
	var scopes []network.ConnManagementScope
	for i := range 64 {
		scope, err := m.OpenConnection(network.DirInbound, true, from)
		if err != nil {
			t.Fatalf("connection %d from one address: %v", i+1, err)
		}
		scopes = append(scopes, scope)
	}
	for _, s := range scopes {
		s.Done()
	}
	refused := false
	for range 4 * connsPerIPv4 {
		if _, err := m.OpenConnection(network.DirInbound, true, from); err != nil {
			refused = true
			break
		}
	}
	if !refused {
		t.Error("one address may open any number of connections")
	}
}

// Real sockets: TCP and QUIC over loopback.
func TestLoopback(t *testing.T) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(listen, func(t *testing.T) {
			p := newPact("alliance", "indicators")
			var all []*member
			for _, name := range []string{"a", "b", "c"} {
				m := loopbackMember(t, name, listen)
				all = append(all, m)
			}
			agree(t, p, all...)
			for i, m := range all {
				m.publish(t, p, "indicators", fmt.Sprint(i))
			}
			eventually(t, 15*time.Second, "all at all", func() bool {
				for _, m := range all {
					if m.held(p.id) != len(all) {
						return false
					}
				}
				return true
			})
			if rtt, err := all[0].host.Ping(t.Context(), all[1].peer.Transport); err != nil || rtt <= 0 {
				t.Errorf("ping: %v, %v", rtt, err)
			}
		})
	}
}

func loopbackMember(t *testing.T, name, listen string) *member {
	t.Helper()
	key := keyOf(name)
	author := protocol.Author{Member: protocol.MemberID{name[0]}}
	m := &member{fake: newFake(author), key: key}
	m.cfg = Config{Key: key, Listen: []string{listen}, Handler: m.fake, Logger: slog.New(slog.DiscardHandler)}
	m.start(t)
	t.Cleanup(m.down)
	m.peer = protocol.Peer{Author: author, Name: name, Transport: publicKey(key), Addresses: m.host.Addresses()}
	return m
}

func TestNewRefusesBadInput(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no key":        {Handler: newFake(protocol.Author{})},
		"no handler":    {Key: keyOf("x")},
		"a bad address": {Key: keyOf("x"), Handler: newFake(protocol.Author{}), Listen: []string{"127.0.0.1:80"}},
	} {
		if h, err := New(cfg); err == nil {
			_ = h.Close()
			t.Errorf("%s: made a host", name)
		}
	}
}

func TestUpdateRefusesContradictions(t *testing.T) {
	h, err := New(Config{Key: keyOf("x"), Handler: newFake(protocol.Author{})})
	if err != nil {
		t.Fatal(err)
	}
	p := newPact("alliance", "indicators")
	good := protocol.Membership{Agreement: p.id, Heads: p.heads, Topics: p.topics}
	public, headless := good, good
	public.Public, headless.Heads = true, nil
	for name, bad := range map[string][]protocol.Membership{
		"public on a member's host": {public}, "no version": {headless}, "named twice": {good, good},
	} {
		if err := h.Update(bad); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.Update([]protocol.Membership{good}); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Update(nil); err == nil {
		t.Error("a closed host was updated")
	}
	_ = h.Run(context.Background()) // a closed host: it must return at once
}

// Closing while an update and sessions are under way neither hangs nor leaks.
func TestCloseUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		for i := range 200 {
			b.fake.publish(p.id, "indicators", fmt.Append(make([]byte, 64<<10), i))
		}
		inside := make(chan struct{}, 1000)
		a.onTake = func() {
			inside <- struct{}{}
			_ = a.host.Update([]protocol.Membership{p.seenBy(a, a, b)}) // as a node does on news
		}
		agree(t, p, a, b)
		<-inside
		a.down()
	})
}
