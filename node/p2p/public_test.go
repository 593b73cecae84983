package p2p

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"

	"entente/protocol"
)

// reads makes m follow the pact's topics as a reader who is no party.
func (p *pact) reads(t *testing.T, m *member, publishers ...*member) {
	t.Helper()
	ms := p.seenBy(m, publishers...)
	ms.Publisher = false
	m.update(t, ms)
}

// withID returns the member's addresses with /p2p, as an invitation has them.
func (m *member) withID(t *testing.T) []string {
	t.Helper()
	return []string{m.peer.Addresses[0] + "/p2p/" + m.addrs(t).ID.String()}
}

func TestReaderFollowsPublicFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("feed", "observables")
		p.public = true
		secret := newPact("secret", "operations")
		publisher, second := w.add("publisher public", true), w.add("second public", true)
		private, friend := w.add("publisher private", false), w.add("friend private", false)
		agree(t, p, publisher, second)
		agree(t, secret, private, friend)
		document := protocol.Document{Type: protocol.AgreementType, Payload: []byte("the feed's agreement\n")}
		publisher.documents[p.id] = []protocol.Document{document}
		for i := range 50 {
			publisher.publish(t, p, "observables", fmt.Sprint("before", i))
			private.publish(t, secret, "operations", fmt.Sprint(i))
		}
		reader := w.add("reader", true)
		documents, err := reader.host.Fetch(t.Context(), publisher.withID(t), p.id)
		if err != nil || len(documents) != 1 || string(documents[0].Payload) != string(document.Payload) {
			t.Fatalf("fetched %v, %v", documents, err)
		}
		pass(time.Second)
		if reader.host.net.Network().Connectedness(publisher.addrs(t).ID) == network.Connected {
			t.Error("the connection of a fetch was kept")
		}
		_, err = reader.host.Fetch(t.Context(), publisher.withID(t), secret.id)
		if protocol.KindOf(err) != protocol.Unreachable {
			t.Errorf("fetching an agreement that is not public: %v", err)
		}
		p.reads(t, reader, publisher, second)
		eventually(t, 10*time.Second, "the 50 from before at the reader", func() bool { return reader.held(p.id) == 50 })
		pass(3 * time.Second)
		synced := reader.count(&reader.synced)
		for i := range 20 {
			publisher.publish(t, p, "observables", fmt.Sprint("live", i))
			pass(50 * time.Millisecond)
		}
		eventually(t, time.Second, "the live ones at the reader", func() bool { return reader.held(p.id) == 70 })
		if n := reader.count(&reader.synced); n != synced {
			t.Errorf("%d of the live ones came by sync", n-synced)
		}
		if reader.held(secret.id) != 0 || len(reader.host.Peers()) != 2 {
			t.Errorf("the reader knows of %d peers and holds %d of what is not its own", len(reader.host.Peers()), reader.held(secret.id))
		}
		// The private host does not let it in.
		if err := reader.host.connectTo(t.Context(), private.addrs(t)); err == nil {
			pass(time.Second)
			if reader.host.net.Network().Connectedness(private.addrs(t).ID) == network.Connected {
				t.Error("the reader is connected with the private host")
			}
		}
	})
}

// A topic of a public agreement that only its parties read stays among them,
// also when a stranger says that it reads it.
func TestClosedTopicOfPublicAgreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("feed", "observables", "desk")
		p.public = true
		claimed := *p
		p.barred = map[string][]protocol.MemberID{"desk": {{}}}
		publisher, second, stranger := w.add("publisher", true), w.add("second", true), w.add("stranger", true)
		agree(t, p, publisher, second)
		claimed.reads(t, stranger, publisher, second)
		pass(5 * time.Second)
		for i := range 20 {
			publisher.publish(t, p, "desk", fmt.Sprint("for parties", i))
			pass(20 * time.Millisecond)
		}
		eventually(t, 5*time.Second, "all at the other party", func() bool { return second.held(p.id) == 20 })
		pass(time.Minute)
		// What sync tells of logs is the handler's word, and the fake one tells all.
		if len(stranger.topics) != 0 {
			t.Errorf("the stranger was sent gossip of %v", stranger.topics)
		}
	})
}

// A party that may publish on a topic and not read it reaches those that read.
func TestOutlet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("watch", "box")
		reporter, other, desk := w.add("reporter", false), w.add("other", false), w.add("desk", false)
		p.barred = map[string][]protocol.MemberID{"box": {reporter.peer.Author.Member, other.peer.Author.Member}}
		agree(t, p, reporter, other, desk)
		pass(5 * time.Second)
		for i := range 20 {
			reporter.publish(t, p, "box", fmt.Sprint(i))
			pass(20 * time.Millisecond)
		}
		eventually(t, time.Second, "all at the desk", func() bool { return desk.held(p.id) == 20 })
		if n := desk.count(&desk.synced); n != 0 {
			t.Errorf("%d of them came by sync", n)
		}
		pass(time.Minute)
		if len(other.topics) != 0 {
			t.Errorf("a party that may not read was sent gossip of %v", other.topics)
		}
	})
}

// A reader that has the messages serves them to another while the publisher is
// away.
func TestReaderServesReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("feed", "observables")
		p.public = true
		publisher, first := w.add("publisher", true), w.add("first", true)
		agree(t, p, publisher)
		p.reads(t, first, publisher)
		for i := range 10 {
			publisher.publish(t, p, "observables", fmt.Sprint(i))
		}
		eventually(t, 10*time.Second, "all at the first reader", func() bool { return first.held(p.id) == 10 })
		publisher.down()
		second := w.add("second", true)
		p.reads(t, second, first)
		eventually(t, 10*time.Second, "all at the second reader", func() bool { return second.held(p.id) == 10 })
	})
}

// Identify of a public host tells no more than that of a member's host.
func TestIdentifyOfPublicHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("feed", "observables")
		p.public = true
		publisher := w.add("publisher", true)
		agree(t, p, publisher)
		anyone := w.outsider("anyone")
		told, err := anyone.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = told.Close() }()
		if err := anyone.Connect(t.Context(), publisher.addrs(t)); err != nil {
			t.Fatal(err)
		}
		identifyTellsNothing(t, (<-told.Out()).(event.EvtPeerIdentificationCompleted), p)
	})
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		agree(t, p, a, b)
		rtt, err := a.host.Ping(t.Context(), b.peer.Transport)
		if err != nil || rtt < 40*time.Millisecond || rtt > 45*time.Millisecond {
			t.Errorf("ping over a link of 20 ms each way: %v, %v", rtt, err)
		}
		for _, s := range a.host.Peers() {
			if !s.Connected || s.RTT != rtt || s.Name != "b" || s.Sent == 0 || s.Received == 0 || s.Host != "member" {
				t.Errorf("the peer's status is %+v", s)
			}
		}
		if _, err := a.host.Ping(t.Context(), publicKey(keyOf("nobody"))); protocol.KindOf(err) != protocol.NotFound {
			t.Errorf("ping of one who is in no agreement: %v", err)
		}
		b.down()
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := a.host.Ping(ctx, b.peer.Transport); protocol.KindOf(err) != protocol.Unreachable {
			t.Errorf("ping of one who is down: %v", err)
		}
		eventually(t, 2*time.Minute, "an error told of the peer that is down", func() bool {
			s := a.host.Peers()[0]
			return !s.Connected && s.LastError != ""
		})
		b.start(t)
		eventually(t, 2*time.Minute, "connected again", func() bool { return a.host.Peers()[0].Connected })
		if s := a.host.Peers()[0]; s.LastError != "" {
			t.Errorf("a healthy peer has the error %q", s.LastError)
		}
	})
}
