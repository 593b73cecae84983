package p2p

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestBroadcastReachesAll(t *testing.T) {
	for _, n := range []int{3, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { broadcastReachesAll(t, n, n) })
		})
	}
}

// broadcastReachesAll runs n hosts, of which hubs can be dialled, and has each
// publish three messages.
func broadcastReachesAll(t *testing.T, n, hubs int) {
	w := newWorld(t)
	p := newPact("alliance", "indicators")
	var all []*member
	for i := range n {
		m := w.add(fmt.Sprint("member ", i), false)
		if i >= hubs {
			m.peer.Addresses = nil // behind a firewall: it dials out, to the hubs
		}
		all = append(all, m)
	}
	agree(t, p, all...)
	eventually(t, 20*time.Second, "a mesh", func() bool {
		for i, m := range all {
			least := hubs
			if i < hubs {
				least = n - 1
			}
			if len(m.host.group(p.id).ps.ListPeers("indicators")) < least {
				return false
			}
		}
		return true
	})
	pass(2 * time.Second) // a heartbeat, in which meshes are made
	const each = 3
	started := time.Now()
	for i, m := range all {
		for j := range each {
			m.publish(t, p, "indicators", fmt.Sprint(i, j))
		}
	}
	eventually(t, 2*time.Second, "all at all", func() bool {
		for _, m := range all {
			if m.held(p.id) != n*each {
				return false
			}
		}
		return true
	})
	t.Logf("%d hosts, %d messages at all after %v", n, n*each, time.Since(started))
	for _, m := range all {
		if m.count(&m.synced) != 0 {
			t.Errorf("%s got %d messages by sync; gossip must do here", m.peer.Name, m.count(&m.synced))
		}
		if m.count(&m.delivered) != (n-1)*each {
			t.Errorf("%s: %d deliveries, not %d", m.peer.Name, m.count(&m.delivered), (n-1)*each)
		}
	}
}
