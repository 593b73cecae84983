package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// invited makes a member that has one invite open, which record who shows it.
func (w *world) invited(secret [32]byte) (m *member, shown func() []protocol.PublicKey) {
	w.t.Helper()
	m = w.add("inviter", false)
	var seen []protocol.PublicKey
	m.welcome(func(transport protocol.PublicKey, door protocol.Hash, given [32]byte, _ []protocol.Document) ([]protocol.Document, error) {
		if door != protocol.InviteDoor(secret) || given != secret {
			return nil, errors.New("not good")
		}
		m.mu.Lock()
		seen = append(seen, transport)
		m.mu.Unlock()
		return []protocol.Document{{Type: protocol.RecordType, Payload: []byte("the inviter\n")}}, nil
	})
	m.host.Doors([]protocol.Hash{protocol.InviteDoor(secret)}, true)
	return m, func() []protocol.PublicKey {
		m.mu.Lock()
		defer m.mu.Unlock()
		return append([]protocol.PublicKey(nil), seen...)
	}
}

func TestInviteIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret := [32]byte{1}
		inviter, shown := w.invited(secret)
		joiner := w.add("joiner", false)
		mine := []protocol.Document{{Type: protocol.RecordType, Payload: []byte("the joiner\n")}}
		got, err := joiner.host.Call(t.Context(), inviter.withID(t), secret, mine)
		if err != nil || len(got) != 1 || string(got[0].Payload) != "the inviter\n" {
			t.Fatalf("got %v, %v", got, err)
		}
		if who := shown(); len(who) != 1 || who[0] != joiner.peer.Transport {
			t.Errorf("it was shown by %v", who)
		}
		// One without a place in the roster does not stay.
		pass(2 * guestTime)
		if joiner.host.net.Network().Connectedness(inviter.addrs(t).ID) == network.Connected {
			t.Error("a guest is still connected")
		}
		if _, err := joiner.host.Call(t.Context(), joiner.withID(t), secret, mine); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("calling itself: %v", err)
		}
		if _, err := joiner.host.Call(t.Context(), []string{"nonsense"}, secret, mine); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("calling nowhere: %v", err)
		}
		inviter.down()
		if _, err := joiner.host.Call(t.Context(), inviter.withID(t), secret, mine); protocol.KindOf(err) != protocol.Unreachable {
			t.Errorf("calling one that is down: %v", err)
		}
	})
}

// Whatever is wrong with what is shown, the answer is the same, and the handler is
// asked only where the secret is right.
func TestInviteIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret := [32]byte{1}
		inviter, shown := w.invited(secret)
		joiner, other := w.add("joiner", false), w.add("other", false)
		refused := func(what string, by *member, with [32]byte, documents ...protocol.Document) {
			t.Helper()
			_, err := by.host.Call(t.Context(), inviter.withID(t), with, documents)
			if kind := protocol.KindOf(err); kind != protocol.Refused && kind != protocol.Unreachable {
				t.Errorf("%s: %v", what, err)
			}
			if strings.Contains(fmt.Sprint(err), "not good") {
				t.Errorf("%s: the guest was told why: %v", what, err)
			}
		}
		asked := 0
		good := inviter.welcome(func(protocol.PublicKey, protocol.Hash, [32]byte, []protocol.Document) ([]protocol.Document, error) {
			inviter.mu.Lock()
			defer inviter.mu.Unlock()
			asked++
			return nil, errors.New("not good")
		})
		refused("a wrong secret", joiner, [32]byte{2})
		if inviter.count(&asked) != 0 {
			t.Error("the handler was asked about a wrong secret")
		}
		refused("one that the node refuses", joiner, secret)
		if inviter.count(&asked) != 1 {
			t.Errorf("the handler was asked %d times", asked)
		}
		inviter.welcome(good)
		many := make([]protocol.Document, maxGuestDocuments+1)
		for i := range many {
			many[i] = protocol.Document{Type: protocol.RecordType, Payload: fmt.Append(nil, i)}
		}
		refused("too many documents", joiner, secret, many...)
		inviter.host.Doors(nil, false) // revoked, or run out
		pass(2 * guestTime)
		refused("one that is closed", other, secret)
		if len(shown()) != 0 {
			t.Error("somebody got in")
		}
		// A door that is open for one who used it already lets no strangers knock.
		inviter.host.Doors([]protocol.Hash{protocol.InviteDoor(secret)}, false)
		pass(2 * guestTime)
		refused("used already", other, secret)
		if len(shown()) != 0 {
			t.Error("a stranger got in by a used invite")
		}
	})
}

// tagged opens a stream from a host of somebody else's, sends bytes and returns what
// comes back.
func tagged(t *testing.T, from host.Host, to peer.AddrInfo, sent []byte) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := from.NewStream(ctx, to.ID, protocolID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := s.Write(sent); err != nil {
		return nil, err
	}
	return io.ReadAll(s)
}

// An outsider who finds a host that has invites open learns nothing of them, and
// nothing of agreements: every stream ends alike, and so does the connection. A tag
// that it overheard fits no other peer.
func TestOutsiderAtAnOpenDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret := [32]byte{1}
		inviter, shown := w.invited(secret)
		friend := w.add("friend", false)
		p := newPact("alliance", "indicators")
		agree(t, p, inviter, friend)
		outsider := w.outsider("outsider")
		if err := outsider.Connect(t.Context(), inviter.addrs(t)); err != nil {
			t.Fatalf("a stranger cannot knock while an invite is open: %v", err)
		}
		pass(time.Second)
		protocols, err := outsider.Peerstore().GetProtocols(inviter.addrs(t).ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range protocols {
			if id != protocolID && !strings.HasPrefix(string(id), "/ipfs/id/") {
				t.Errorf("the outsider is told of the protocol %s", id)
			}
		}
		self, victim := outsider.ID(), friend.addrs(t).ID
		key, responder := tagKey(protocol.InviteDoor(secret)), inviter.addrs(t).ID
		overheard := newTag(key, kindInvite, victim, responder)
		guess := newTag(tagKey(sha256.Sum256([]byte("guess"))), kindInvite, self, responder)
		known := newTag(headKey(p.heads[0]), kindDocuments, self, responder)
		door := newTag(key, kindDocuments, self, responder)
		var ends []string
		for name, tag := range map[string][tagSize]byte{"overheard": overheard, "guess": guess, "a version's": known, "the door for another kind": door} {
			got, err := tagged(t, outsider, inviter.addrs(t), append(tag[:], bytes.Repeat([]byte{0}, 64)...))
			if len(got) != 0 || err == nil {
				t.Errorf("%s: the outsider got %d bytes, %v", name, len(got), err)
				continue
			}
			text := err.Error()
			if at := strings.Index(text, "stream "); at >= 0 { // its number
				text = text[:at]
			}
			ends = append(ends, text)
		}
		for _, e := range ends {
			if e != ends[0] {
				t.Errorf("failures look different: %q, %q", ends[0], e)
			}
		}
		pass(2 * guestTime)
		if outsider.Network().Connectedness(inviter.addrs(t).ID) == network.Connected {
			t.Error("the outsider is still connected")
		}
		if len(shown()) != 0 {
			t.Error("the outsider got in")
		}
		if events, _ := inviter.seen(protocol.PeerRefused); events == 0 {
			t.Error("nothing was written down")
		}
	})
}

// However many knock, few are in at once, and nobody who belongs here is kept out.
func TestCrowdAtAnOpenDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret := [32]byte{1}
		inviter, _ := w.invited(secret)
		friend := w.add("friend", false)
		p := newPact("alliance", "indicators")
		var crowd []host.Host
		for i := range 3 * maxGuests {
			crowd = append(crowd, w.outsider(fmt.Sprint("outsider", i)))
		}
		in := func() (n int) {
			for _, id := range inviter.host.net.Network().Peers() {
				if id != friend.addrs(t).ID {
					n++
				}
			}
			return n
		}
		for range 4 {
			for _, o := range crowd {
				_ = o.Connect(t.Context(), inviter.addrs(t))
				if n := in(); n > maxGuests {
					t.Fatalf("%d strangers are in", n)
				}
			}
			pass(5 * time.Second)
		}
		agree(t, p, inviter, friend)
		pass(5 * time.Second)
		inviter.publish(t, p, "indicators", "hello")
		eventually(t, 10*time.Second, "the message at the friend", func() bool { return friend.held(p.id) == 1 })
		// Once it is quieter the one who is invited gets in.
		pass(2 * guestTime)
		joiner := w.add("joiner", false)
		if _, err := joiner.host.Call(t.Context(), inviter.withID(t), secret, nil); err != nil {
			t.Errorf("after the crowd: %v", err)
		}
	})
}

// Between those who know each other documents pass and nothing else, at once where
// there is something new.
func TestPapers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.add("a", false), w.add("b", false)
		p := newPact("draft", "indicators")
		papers := func(m, other *member, held byte) {
			t.Helper()
			ms := protocol.Membership{Agreement: p.id, Heads: p.heads, Papers: true, Nodes: []protocol.Peer{other.peer}, Held: protocol.Hash{held}}
			m.update(t, ms)
		}
		papers(a, b, 1)
		papers(b, a, 1)
		pass(5 * time.Second)
		draft := protocol.Document{Type: protocol.AgreementType, Payload: []byte("the draft\n")}
		a.mu.Lock()
		a.documents[p.id] = []protocol.Document{draft}
		a.mu.Unlock()
		papers(a, b, 2)
		eventually(t, 3*time.Second, "the draft at the other", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.taken[p.id]) == 1
		})
		if err := a.host.Broadcast(t.Context(), p.id, "indicators", []byte("x")); protocol.KindOf(err) != protocol.Unreachable {
			t.Errorf("gossip of what is not in force: %v", err)
		}
		m := a.host.membership(p.id)
		for _, k := range []kind{kindGossip, kindSync} {
			if s, err := a.host.open(t.Context(), m, m.keys[0], k, b.addrs(t).ID); err == nil {
				_ = s.Reset()
				t.Errorf("a stream of kind %d was taken", k)
			}
		}
		if _, err := a.host.Ping(t.Context(), b.peer.Transport); err != nil {
			t.Errorf("ping: %v", err)
		}
		// It comes into force on both sides.
		agree(t, p, a, b)
		pass(5 * time.Second)
		a.publish(t, p, "indicators", "first")
		eventually(t, 5*time.Second, "a message at the other", func() bool { return b.held(p.id) == 1 })
		// And back: what was open for it is cut.
		papers(b, a, 3)
		pass(time.Second)
		a.publish(t, p, "indicators", "second")
		pass(2 * time.Minute)
		if n := b.held(p.id); n != 1 {
			t.Errorf("%d messages at one for whom it is not in force", n)
		}
	})
}

// With parties that have not signed yet documents pass and nothing else, while the
// others go on.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, late := w.add("a", false), w.add("b", false), w.add("late", false)
		p := newPact("harbour", "indicators")
		for _, m := range []*member{a, b} {
			ms := p.seenBy(m, a, b)
			ms.Waiting = []protocol.Peer{late.peer}
			m.update(t, ms)
		}
		papers := func(held byte) {
			t.Helper()
			late.update(t, protocol.Membership{Agreement: p.id, Heads: p.heads, Papers: true, Nodes: []protocol.Peer{a.peer, b.peer}, Held: protocol.Hash{held}})
		}
		papers(1)
		pass(5 * time.Second)
		a.publish(t, p, "indicators", "first")
		eventually(t, 5*time.Second, "a message among those who have signed", func() bool { return b.held(p.id) == 1 })
		for _, from := range []*member{a, late} {
			to := late
			if from == late {
				to = a
			}
			m := from.host.membership(p.id)
			for _, k := range []kind{kindGossip, kindSync} {
				if s, err := from.host.open(t.Context(), m, m.keys[0], k, to.addrs(t).ID); err == nil {
					_ = s.Reset()
					t.Errorf("from %s: a stream of kind %d was taken", from.peer.Name, k)
				}
			}
		}
		signed := protocol.Document{Type: protocol.AgreementType, Payload: []byte("signed by late\n")}
		late.mu.Lock()
		late.documents[p.id] = []protocol.Document{signed}
		late.mu.Unlock()
		papers(2)
		eventually(t, 3*time.Second, "the signature at another", func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.taken[p.id]) == 1
		})
		if n := late.held(p.id); n != 0 {
			t.Errorf("%d messages at one who has not signed", n)
		}
		agree(t, p, a, b, late)
		eventually(t, 10*time.Second, "what was missed", func() bool { return late.held(p.id) == 1 })
	})
}
