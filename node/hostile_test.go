package node_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"entente/node"
	"entente/protocol"
)

// forger makes messages that a node under somebody else's control might send.
type forger struct {
	t         *testing.T
	by        *resident
	agreement *protocol.Agreement
	log       protocol.LogID
	position  protocol.Position
}

func newForger(t *testing.T, by *resident, topic string) *forger {
	t.Helper()
	a, _, ok := by.topic(topic)
	if !ok {
		t.Fatalf("no topic %s", topic)
	}
	return &forger{t: t, by: by, agreement: a, log: protocol.LogID{
		Agreement: a.ID, Lane: protocol.TopicLane(topic), Author: protocol.Author{Member: by.record.Member, Node: 1}, Incarnation: protocol.Incarnation{7},
	}}
}

// seal makes the next message of the forger's log, after change had its way with
// it; it goes on from it only where keep is set.
func (f *forger) seal(keep bool, change func(*protocol.Draft, *protocol.Position), objects ...string) []byte {
	f.t.Helper()
	raw := make([][]byte, len(objects))
	for i, o := range objects {
		raw[i] = []byte(o)
	}
	body, err := f.by.lab.codec.Pack(raw, [32]byte{byte(f.position.Sequence)})
	if err != nil {
		f.t.Fatal(err)
	}
	d := protocol.Draft{
		Agreement: f.agreement.ID, AgreementVersion: f.agreement.Version, Lane: f.log.Lane, Author: f.log.Author, Epoch: 1,
		Incarnation: f.log.Incarnation, Time: time.Now(), Audience: protocol.Audience{Kind: protocol.AllParties}, Content: protocol.StixObjects, Body: body,
	}
	at := f.position
	if change != nil {
		change(&d, &at)
	}
	m, err := f.by.lab.codec.Seal(d, at, nil, f.by.keys[protocol.NodeKey])
	if err != nil {
		f.t.Fatal(err)
	}
	if keep {
		f.position = m.Position()
	}
	return m.Frame()
}

// rows returns the texts of the audit rows that tell of refusals.
func (r *resident) refusals() string {
	<-time.After(time.Second) // notes are written soon, not at once
	synctest.Wait()
	var b strings.Builder
	_ = r.node.Audit(context.Background(), node.AuditQuery{Kinds: []string{"message"}}, func(e node.AuditEntry) bool {
		if e.Outcome != "accept" && e.Outcome != "ok" && e.Outcome != "allow" {
			b.WriteString(e.Outcome + " " + e.Text + "\n")
		}
		return true
	})
	return b.String()
}

// TestHostileMessages sends what a node must not take, by the door that gossip
// comes in: each is judged as it deserves, written down, and shows nowhere; good
// messages from the same peer go on being taken.
func TestHostileMessages(t *testing.T) {
	type edit = func(*protocol.Draft, *protocol.Position)
	later := func(by time.Duration) edit {
		return func(d *protocol.Draft, _ *protocol.Position) { d.Time = d.Time.Add(by) }
	}
	cases := map[string]struct {
		change  edit
		spoil   func([]byte) []byte
		verdict protocol.Verdict
		text    string
	}{
		"another author":      {func(d *protocol.Draft, _ *protocol.Position) { d.Author.Node = 2 }, nil, protocol.Ignore, "no record here holds the key"},
		"another epoch":       {func(d *protocol.Draft, _ *protocol.Position) { d.Epoch = 9 }, nil, protocol.Ignore, "no record here holds the key"},
		"a stranger":          {func(d *protocol.Draft, _ *protocol.Position) { d.Author.Member[0] ^= 1 }, nil, protocol.Ignore, "no party"},
		"another agreement":   {func(d *protocol.Draft, _ *protocol.Position) { d.Agreement[0] ^= 1 }, nil, protocol.Ignore, "another agreement or topic"},
		"another topic":       {func(d *protocol.Draft, _ *protocol.Position) { d.Lane = protocol.TopicLane("elsewhere") }, nil, protocol.Ignore, "another agreement or topic"},
		"a version not here":  {func(d *protocol.Draft, _ *protocol.Position) { d.AgreementVersion = 2 }, nil, protocol.Ignore, "version 2"},
		"the future":          {later(time.Hour), nil, protocol.Ignore, "ahead of this node's clock"},
		"a mark for nobody":   {func(d *protocol.Draft, _ *protocol.Position) { d.Marking = protocol.Red }, nil, protocol.Ignore, "TLP:RED"},
		"a bit in the body":   {nil, func(b []byte) []byte { b[len(b)-3] ^= 4; return b }, protocol.Reject, ""},
		"a bit in the header": {nil, func(b []byte) []byte { b[60] ^= 1; return b }, protocol.Ignore, "no party"},
		"half of it":          {nil, func(b []byte) []byte { return b[:len(b)/2] }, protocol.Reject, ""},
		"something behind it": {nil, func(b []byte) []byte { return append(b, 0) }, protocol.Reject, ""},
		"noise":               {nil, func([]byte) []byte { return bytes.Repeat([]byte{0xa5}, 4096) }, protocol.Ignore, "newer than this node"},
		"nothing":             {nil, func([]byte) []byte { return nil }, protocol.Reject, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				all := l.found("watch", simulationTerms, map[string]string{"bank": "company", "cert": "cert"})
				bank, cert := all[0], all[1]
				<-time.After(5 * time.Second)
				f := newForger(t, bank, "findings")
				from := protocol.Peer{Author: f.log.Author, Transport: protocol.PublicOf(bank.keys[protocol.TransportKey])}
				frame := f.seal(false, c.change, object("indicator", "bad", nil))
				if c.spoil != nil {
					frame = c.spoil(bytes.Clone(frame))
				}
				verdict, message := cert.node.Check(from, f.agreement.ID, "findings", frame)
				if verdict != c.verdict || message != nil {
					t.Errorf("it is judged %s", verdict)
				}
				if rows := cert.refusals(); !strings.HasPrefix(rows, c.verdict.String()) || !strings.Contains(rows, c.text) {
					t.Errorf("written down is %q", rows)
				}
				good := f.seal(true, nil, object("indicator", "good", nil))
				if err := bank.hosts[0].Broadcast(context.Background(), f.agreement.ID, "findings", good); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
				if got := cert.holds("watch/findings"); len(got) != 1 || got[0] != idOf("indicator", "good") {
					t.Errorf("shown are %v", got)
				}
			})
		})
	}
}

// TestForgedKey holds a signature to the author's own key.
func TestForgedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		all := l.found("watch", simulationTerms, map[string]string{"bank": "company", "cert": "cert", "vendor": "vendor"})
		bank, cert, vendor := all[0], all[1], all[2]
		<-time.After(5 * time.Second)
		f := newForger(t, vendor, "findings")
		frame := f.seal(false, func(d *protocol.Draft, _ *protocol.Position) { d.Author.Member = bank.record.Member }, object("indicator", "forged", nil))
		if verdict, _ := cert.node.Check(protocol.Peer{Transport: protocol.PublicOf(vendor.keys[protocol.TransportKey])}, f.agreement.ID, "findings", frame); verdict != protocol.Reject {
			t.Errorf("a message in another member's name is judged %s", verdict)
		}
		if rows := cert.refusals(); !strings.Contains(rows, "signature") {
			t.Errorf("written down is %q", rows)
		}
	})
}

// TestGapsForksAndReplays sends messages out of order, twice, and two with one
// number.
func TestGapsForksAndReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		all := l.found("watch", simulationTerms, map[string]string{"bank": "company", "cert": "cert"})
		bank, cert := all[0], all[1]
		<-time.After(5 * time.Second)
		f := newForger(t, bank, "findings")
		send := func(frame []byte) {
			t.Helper()
			if err := bank.hosts[0].Broadcast(context.Background(), f.agreement.ID, "findings", frame); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
		}
		shown := func(want ...string) {
			t.Helper()
			if got := cert.holds("watch/findings"); len(got) != len(want) {
				t.Errorf("%d objects are shown, not %d", len(got), len(want))
			}
		}
		first := f.seal(true, nil, object("indicator", "first", nil))
		second := f.seal(true, nil, object("indicator", "second", nil))
		third := f.seal(true, nil, object("indicator", "third", nil))
		send(third)
		send(second)
		shown()
		send(first)
		shown("first", "second", "third")
		position := cert.store.Position(f.log)
		if verdict, m := cert.node.Check(protocol.Peer{}, f.agreement.ID, "findings", second); verdict != protocol.Ignore || m != nil {
			t.Errorf("a replay is judged %s", verdict)
		}
		if rows := cert.refusals(); rows != "" {
			t.Errorf("a replay is written down: %q", rows)
		}
		// Another third: proof that the author signed twice. The log stops.
		f.position.Sequence = 2
		other := f.seal(false, func(_ *protocol.Draft, at *protocol.Position) {
			*at = protocol.Position{Sequence: 2, Head: headOf(t, l, second)}
		}, object("indicator", "another third", nil))
		send(other)
		f.position = position
		send(f.seal(true, nil, object("indicator", "fourth", nil)))
		shown("first", "second", "third")
		if rows := cert.refusals(); !strings.Contains(rows, "two different messages bear this sequence number") {
			t.Errorf("written down is %q", rows)
		}
	})
}

func headOf(t *testing.T, l *lab, frame []byte) protocol.Hash {
	t.Helper()
	m, err := l.codec.Reopen(frame)
	if err != nil {
		t.Fatal(err)
	}
	return m.Hash()
}
