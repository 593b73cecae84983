package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// docket is a ledger of one agreement, in which the bank has published something,
// with what parties state in its lane.
type docket struct {
	*forum
	l     ledger
	s     *store.Store
	log   protocol.LogID // of the bank
	count int
}

func newDocket(t *testing.T) *docket {
	d := &docket{forum: newForum(t)}
	d.l.init()
	codec, err := protocol.NewCodec(protocol.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	d.s, err = store.Open(store.Config{Clock: time.Now, Limits: stix.DefaultLimits(), Codec: codec, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.s.Close(); err != nil {
			t.Error(err)
		}
	})
	d.log = protocol.LogID{Agreement: d.g.doc.ID, Lane: protocol.TopicLane("shared"), Author: protocol.Author{Member: d.id("bank"), Node: 1}, Incarnation: protocol.Incarnation{1}}
	body, err := codec.Pack([][]byte{[]byte("{}")}, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.s.Append(context.Background(), d.log, func(prev protocol.Position) (*protocol.Message, error) {
		return codec.Seal(protocol.Draft{
			Agreement: d.log.Agreement, AgreementVersion: 1, Lane: d.log.Lane, Author: d.log.Author, Epoch: 1, Incarnation: d.log.Incarnation,
			Time: d.at, Audience: protocol.Audience{Kind: protocol.AllParties}, Content: protocol.StixObjects, Body: body,
		}, prev, nil, seedKey("node"))
	}, []store.Leaf{{Position: 0}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hears has the ledger take a statement at the time that it bears.
func (d *docket) hears(kind protocol.StatementKind, member string, about protocol.Hash, at time.Time) protocol.Hash {
	d.t.Helper()
	d.count++
	s := protocol.Statement{Kind: kind, Agreement: d.g.doc.ID, Version: 1, Head: d.g.doc.Hash, Member: d.id(member), Time: at, About: about, Text: fmt.Sprint("No ", d.count)}
	switch kind {
	case protocol.Request:
		text, err := protocol.Destination{Agreement: protocol.AgreementID{9}, Topic: "finds", Reason: fmt.Sprint("Reason ", d.count)}.Text()
		if err != nil {
			d.t.Fatal(err)
		}
		s.About, s.Text, s.Leaves = protocol.Hash{}, text, []protocol.Leaf{{Log: d.log.Hash(), Sequence: 1}}
	case protocol.Grant:
		s.Until = at.Add(time.Hour)
	}
	data, err := protocol.SealStatement(s, seedKey(member+" 1"))
	if err != nil {
		d.t.Fatal(err)
	}
	sealed, err := protocol.DecodeStatement(data)
	if err != nil {
		d.t.Fatal(err)
	}
	d.l.take(d.s, sealed, "shared", at)
	return sealed.Hash()
}

func (d *docket) who(member string) asker { return asker{d.g.doc.ID, d.id(member)} }

// holds checks what the ledger holds of a member against the bounds.
func (d *docket) holds(member string, asked, open int, at time.Time) {
	d.t.Helper()
	who := d.who(member)
	kept := 0
	for _, a := range d.l.asked {
		if a.claim.Member == who.member {
			kept++
		}
	}
	if got := len(d.l.order[who]); got != asked || kept != asked {
		d.t.Errorf("%d requests of %s are kept in order and %d by hash; want %d", got, member, kept, asked)
	}
	if got := d.l.open(d.s, who, at); got != open {
		d.t.Errorf("%d requests of %s wait, want %d", got, member, open)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	d := newDocket(t)
	at := d.at
	for range 10 * requestsOpen {
		d.hears(protocol.Request, "vendor", protocol.Hash{}, at)
	}
	d.holds("vendor", requestsOpen, requestsOpen, at)
	honest := d.hears(protocol.Request, "one", protocol.Hash{}, at)
	d.holds("one", 1, 1, at)
	d.hears(protocol.Grant, "bank", honest, at)
	if got := d.l.state(d.s, d.l.asked[honest], at); got != requestGranted {
		t.Errorf("beside a flood an honest request is %s", got)
	}
	// Each that is answered makes room for one more, and what is over goes for it.
	for range 3 * requestsKept {
		at = at.Add(time.Second)
		d.hears(protocol.Denial, "bank", d.l.order[d.who("vendor")][len(d.l.order[d.who("vendor")])-1].hash, at)
		d.hears(protocol.Request, "vendor", protocol.Hash{}, at)
	}
	d.holds("vendor", requestsKept, requestsOpen, at)
	d.holds("one", 1, 0, at)
	if most := 2*requestsKept + 2; len(d.l.answers) > most {
		t.Errorf("answers to %d requests are kept, want %d at most", len(d.l.answers), most)
	}
	// What nobody answered in a month waits no longer.
	at = at.Add(requestLife)
	d.holds("vendor", requestsKept, 0, at)
	last := d.hears(protocol.Request, "vendor", protocol.Hash{}, at)
	d.holds("vendor", requestsKept, 1, at)
	if d.l.asked[last] == nil {
		t.Error("a request was forgotten for older ones that are over")
	}
}

func TestWhatIsGrantedIsForgottenLast(t *testing.T) {
	d := newDocket(t)
	granted := d.hears(protocol.Request, "one", protocol.Hash{}, d.at)
	d.hears(protocol.Grant, "bank", granted, d.at)
	for range 2 * requestsKept {
		d.hears(protocol.Denial, "bank", d.hears(protocol.Request, "one", protocol.Hash{}, d.at), d.at)
	}
	d.holds("one", requestsKept, 0, d.at)
	if a := d.l.asked[granted]; a == nil || d.l.state(d.s, a, d.at) != requestGranted {
		t.Error("what was granted was forgotten for what was refused")
	}
}

func TestEarlyAnswersAreBounded(t *testing.T) {
	d := newDocket(t)
	nothing := func(i int) protocol.Hash { return sha256.Sum256([]byte(fmt.Sprint("nothing ", i))) }
	for i := range 10 * answersWaiting {
		d.hears(protocol.Grant, "vendor", nothing(i), d.at)
		d.hears(protocol.Denial, "vendor", nothing(i), d.at) // of the same is one more answer, and no more room
	}
	if got, early := len(d.l.answers), len(d.l.early[d.who("vendor")]); got != answersWaiting || early != answersWaiting {
		t.Errorf("%d answers are kept and %d remembered as early, want %d", got, early, answersWaiting)
	}
	// Neither what another made of it nor a request that is here is lost for them.
	asked := d.hears(protocol.Request, "one", protocol.Hash{}, d.at)
	d.hears(protocol.Grant, "bank", asked, d.at)
	for i := range 2 * answersWaiting {
		d.hears(protocol.Grant, "vendor", nothing(i), d.at)
	}
	if got := d.l.state(d.s, d.l.asked[asked], d.at); got != requestGranted {
		t.Errorf("the source's answer is forgotten: %s", got)
	}
	// What a third one says of a request counts for nothing and takes no room.
	before := len(d.l.answers[asked])
	d.hears(protocol.Denial, "vendor", asked, d.at.Add(time.Second))
	d.hears(protocol.Denial, "two", asked, d.at.Add(time.Second))
	if got := len(d.l.answers[asked]); got != before {
		t.Errorf("%d answers to one request are kept, and it has one source", got)
	}
	if got := d.l.state(d.s, d.l.asked[asked], d.at.Add(time.Minute)); got != requestGranted {
		t.Errorf("another than the source has made it %s", got)
	}
}

func TestAnAnswerThatComesBeforeItsRequestCounts(t *testing.T) {
	ahead, d := newDocket(t), newDocket(t)
	asked := ahead.hears(protocol.Request, "one", protocol.Hash{}, ahead.at) // what it will be called
	d.count = 1
	d.hears(protocol.Grant, "bank", asked, d.at)
	d.hears(protocol.Grant, "vendor", asked, d.at.Add(time.Second))
	d.count = 0
	if got := d.hears(protocol.Request, "one", protocol.Hash{}, d.at); got != asked {
		t.Fatal("the same request has two names")
	}
	if got := d.l.state(d.s, d.l.asked[asked], d.at); got != requestGranted {
		t.Errorf("it is %s", got)
	}
	if got, ok := d.l.answer(d.s, d.l.asked[asked]); !ok || !strings.HasPrefix(got.claim.Text, "No 2") {
		t.Errorf("%+v counts as the answer", got.claim)
	}
}
