package p2p

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"entente/protocol"
)

func TestCatchUpAfterDowntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators", "briefings")
		a, b, c := w.add("a", false), w.add("b", false), w.add("c", false)
		agree(t, p, a, b, c)
		eventually(t, 10*time.Second, "a mesh", func() bool { return len(a.host.group(p.id).ps.ListPeers("indicators")) == 2 })
		pass(2 * time.Second)
		c.down()
		const n = 700 // of 8 KiB: more than the credit, several batches
		body := make([]byte, 8<<10)
		for i := range n {
			a.publish(t, p, "indicators", fmt.Sprint(i)+string(body))
			b.publish(t, p, "briefings", fmt.Sprint(i))
			pass(10 * time.Millisecond)
		}
		eventually(t, time.Minute, "both at a and b", func() bool { return a.held(p.id) == 2*n && b.held(p.id) == 2*n })
		pass(time.Hour)
		started := time.Now()
		c.start(t)
		eventually(t, time.Minute, "all at c", func() bool { return c.held(p.id) == 2*n })
		t.Logf("%d messages, 6 MB, at c %v after it came back", 2*n, time.Since(started))
		if got := c.count(&c.synced); got != 2*n {
			t.Errorf("%d messages came by sync, not %d", got, 2*n)
		}
		eventually(t, time.Second, "an event for the sync", func() bool {
			_, messages := c.seen(protocol.PeerSynced)
			return messages == 2*n
		})
	})
}

func TestBothEndUpWithEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		for i := range 20 {
			a.fake.publish(p.id, "indicators", fmt.Append(nil, i))
			b.fake.publish(p.id, "indicators", fmt.Append(nil, i))
		}
		agree(t, p, a, b)
		eventually(t, 20*time.Second, "all at both", func() bool { return a.held(p.id) == 40 && b.held(p.id) == 40 })
	})
}

// A node that takes nothing must not keep its peer in an endless exchange.
func TestSyncEndsWhereNothingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		takes := 0
		a.refuse, b.refuse = true, true
		a.onTake = func() { takes++ }
		for i := range 20 {
			a.fake.publish(p.id, "indicators", fmt.Append(nil, i))
			b.fake.publish(p.id, "indicators", fmt.Append(nil, i))
		}
		agree(t, p, a, b)
		pass(time.Minute)
		if takes == 0 || takes > 8 {
			t.Errorf("in a minute a was given messages %d times; one or two sessions with hints are expected", takes)
		}
	})
}

func TestLostGossipIsSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		agree(t, p, a, b)
		eventually(t, 10*time.Second, "a mesh", func() bool { return len(a.host.group(p.id).ps.ListPeers("indicators")) == 1 })
		pass(2 * time.Second)
		b.busy = make(chan struct{}) // b's node hangs: its queue of 64 runs over
		const n = 300
		for i := range n {
			a.publish(t, p, "indicators", fmt.Sprint(i))
		}
		pass(2 * time.Second)
		// Most are lost at b, some perhaps in a's queue to b; nothing is lost without
		// a word of it.
		_, atA := a.seen(protocol.PeerDropped)
		if _, atB := b.seen(protocol.PeerDropped); atB == 0 || atA+atB < n-deliveryQueue-2 {
			t.Errorf("a and b tell of %d and %d dropped messages, together not of %d", atA, atB, n-deliveryQueue-2)
		}
		close(b.busy)
		eventually(t, 10*time.Second, "all at b", func() bool { return b.held(p.id) == n })
	})
}

// What is published after the first sync and before the mesh goes to nobody, and
// leaves no gap: a new link in the mesh causes a sync of its own.
func TestNewLinkIsSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b := w.add("a", false), w.add("b", false)
		agree(t, p, a, b)
		eventually(t, 10*time.Second, "a connection", func() bool {
			return a.host.net.Network().Connectedness(b.addrs(t).ID) == network.Connected
		})
		pass(200 * time.Millisecond)
		a.fake.publish(p.id, "indicators", []byte("to nobody"))
		eventually(t, 5*time.Second, "it at b", func() bool { return b.held(p.id) == 1 })
	})
}

// The agreement moves on while c is away. It comes back with the old version,
// which opens the door for documents and for nothing else.
func TestNewVersionReachesWhoWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, b, c := w.add("a", false), w.add("b", false), w.add("c", false)
		second := protocol.Document{Type: protocol.AgreementType, Payload: []byte("version: 2\n"), Signatures: []protocol.Signature{{Member: a.self.Member}}}
		agree(t, p, a, b, c)
		pass(5 * time.Second)
		c.down()
		next := *p
		next.heads = []protocol.Hash{sha256.Sum256([]byte("second head")), p.heads[0]}
		for _, m := range []*member{a, b} {
			m.documents[p.id] = []protocol.Document{second}
		}
		agree(t, &next, a, b)
		a.update(t, next.seenBy(a, a, b, c))
		b.update(t, next.seenBy(b, a, b, c))
		pass(time.Minute)
		a.publish(t, &next, "indicators", "under the second version")
		c.onDocs = func(protocol.AgreementID, []protocol.Document) {
			if err := c.host.Update([]protocol.Membership{next.seenBy(c, a, b, c)}); err != nil {
				t.Error(err)
			}
		}
		c.start(t)
		eventually(t, 20*time.Second, "the message at c", func() bool { return c.held(p.id) == 1 })
		if len(c.taken[p.id]) == 0 || string(c.taken[p.id][0].Payload) != "version: 2\n" {
			t.Errorf("c took documents %v", c.taken[p.id])
		}
	})
}

// c stays connected while the others move on: it is told by their questions.
func TestNewVersionReachesWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newPact("alliance", "indicators")
		a, c := w.add("a", false), w.add("c", false)
		agree(t, p, a, c)
		pass(5 * time.Second)
		next := *p
		next.heads = []protocol.Hash{sha256.Sum256([]byte("second head")), p.heads[0]}
		a.documents[p.id] = []protocol.Document{{Type: protocol.AgreementType, Payload: []byte("version: 2\n")}}
		learned := make(chan struct{})
		c.onDocs = func(protocol.AgreementID, []protocol.Document) { close(learned) }
		a.update(t, next.seenBy(a, a, c))
		select {
		case <-learned:
		case <-time.After(5 * time.Second):
			t.Error("c did not learn of the second version within five seconds")
		}
	})
}
