package node_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"entente/node"
	"entente/protocol"
)

// floodBody is an agreement under which what is given is passed on by leave alone.
const floodBody = `topics:
  - name: asked
    default-marking: TLP:GREEN
clauses:
  - number: "1"
    text: Ask before you pass it on.
    effect: permit
    obligations: {onward: ask}
`

const clubBody = `topics:
  - name: finds
    default-marking: TLP:GREEN
clauses:
  - number: "1"
    text: Share.
    effect: permit
`

// flood is a bank that has published, a cert, and a vendor that states what it likes.
type flood struct {
	t                  *testing.T
	l                  *lab
	bank, cert, vendor *resident
	watch, club        *protocol.Agreement
	leaf               protocol.Leaf // of the bank's
}

func newFlood(t *testing.T) *flood {
	t.Helper()
	l := newLab(t)
	f := &flood{t: t, l: l, bank: l.add("bank", "company"), cert: l.add("cert", "cert"), vendor: l.add("vendor", "vendor")}
	l.agree("watch", "private", floodBody, f.bank, f.cert, f.vendor)
	l.agree("club", "private", clubBody, f.cert, f.vendor)
	f.watch, _, _ = f.vendor.topic("asked")
	f.club, _, _ = f.vendor.topic("finds")
	<-time.After(5 * time.Second)
	if _, err := f.bank.node.Publish(context.Background(), node.PublishRequest{Topic: "watch/asked", Items: items(object("indicator", "found", map[string]string{"tlp": "clear"}))}); err != nil {
		t.Fatal(err)
	}
	id := idOf("indicator", "found")
	l.eventually(time.Minute, "the vendor has it", func() bool {
		return slices.Contains(f.vendor.holds("asked"), id) && slices.Contains(f.cert.holds("asked"), id)
	})
	versions, err := f.vendor.store.Get(id)
	if err != nil || len(versions) != 1 {
		t.Fatal(versions, err)
	}
	f.leaf = protocol.Leaf{Log: versions[0].Log.Hash(), Sequence: versions[0].Sequence, Position: uint64(versions[0].Position)}
	return f
}

// states has the vendor make statements, a hundred in a message; make fills in what
// is its own about each.
func (f *flood) states(kind protocol.StatementKind, topic string, count int, make func(i int, s *protocol.Statement)) {
	f.t.Helper()
	var leaves [][]byte
	for i := range count {
		s := protocol.Statement{
			Kind: kind, Agreement: f.watch.ID, Version: f.watch.Version, Head: f.watch.Hash, Member: f.vendor.record.Member,
			Time: time.Now().UTC().Truncate(time.Microsecond),
		}
		make(i, &s)
		leaf, err := protocol.SealStatement(s, f.vendor.keys[protocol.OperationsRole])
		if err != nil {
			f.t.Fatal(err)
		}
		if leaves = append(leaves, leaf); len(leaves) == 100 || i == count-1 {
			if err := f.vendor.speak(f.watch, topic, leaves...); err != nil {
				f.t.Fatal(err)
			}
			leaves = nil
		}
	}
}

// refusals returns what a node wrote down of statements that do not count.
func (f *flood) refusals(at *resident) (texts []string) {
	f.t.Helper()
	err := at.node.Audit(context.Background(), node.AuditQuery{Outcomes: []string{"refuse"}, Limit: 100000}, func(e node.AuditEntry) bool {
		texts = append(texts, e.Text)
		return true
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return texts
}

// TestRequestFlood has one party ask and answer without measure: it gets what one
// may have, the operator can read why no more, and others are served as before.
func TestRequestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlood(t)
		ctx := context.Background()
		made := func(i int) (h protocol.Hash) { return sha256.Sum256([]byte(fmt.Sprint("nothing ", i))) }
		f.states(protocol.Request, "asked", 300, func(i int, s *protocol.Statement) {
			text, err := protocol.Destination{Agreement: f.club.ID, Topic: "finds", Reason: fmt.Sprint("Please, no ", i)}.Text()
			if err != nil {
				t.Fatal(err)
			}
			s.Text, s.Leaves = text, []protocol.Leaf{f.leaf}
		})
		f.states(protocol.Grant, "asked", 600, func(i int, s *protocol.Statement) { s.About, s.Until = made(i), s.Time.Add(time.Hour) })
		<-time.After(time.Minute)
		count := func() (waiting, honest int) {
			list, err := f.bank.node.Requests(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range list {
				if q.State != "waiting" {
					continue
				} else if q.Asker == "cert" {
					honest++
				} else {
					waiting++
				}
			}
			return waiting, honest
		}
		if got, _ := count(); got != 64 {
			t.Errorf("%d requests of the vendor wait at the bank, want 64", got)
		}
		told := 0
		for _, text := range f.refusals(f.bank) {
			if strings.Contains(text, "64 requests of its member wait for an answer already") {
				told++
			}
		}
		if told != 300-64 {
			t.Errorf("the bank's audit log tells of %d requests that are too many, want %d", told, 300-64)
		}
		// Others ask and are answered.
		if _, err := f.cert.node.Ask(ctx, node.OnwardQuestion{IDs: []string{idOf("indicator", "found")}, To: "club/finds", Reason: "Our customers."}); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		if _, honest := count(); honest != 1 {
			t.Fatalf("%d requests of the cert wait at the bank, want 1", honest)
		}
		list, err := f.bank.node.Requests(ctx)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(list, func(q node.OnwardRequest) bool { return q.Asker == "cert" })
		if _, err := f.bank.node.Answer(ctx, list[at].Request, node.OnwardAnswer{Grant: true}); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		receipt, err := f.cert.node.Publish(ctx, node.PublishRequest{Topic: "club/finds", Items: items(object("indicator", "found", map[string]string{"tlp": "clear"}))})
		if err != nil || receipt.Published != 1 {
			t.Fatalf("%+v %v", receipt, err)
		}
		// A restart reads the same from the logs again.
		f.bank.down()
		f.bank.start()
		if waiting, honest := count(); waiting != 64 || honest != 0 {
			t.Errorf("after a restart %d requests of the vendor and %d of the cert wait, want 64 and 0", waiting, honest)
		}
	})
}
