package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"entente/protocol"
)

func seedKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(k ed25519.PrivateKey) (out protocol.PublicKey) {
	copy(out[:], k.Public().(ed25519.PublicKey))
	return out
}

// forum is an agreement of four in which the two CERTs may suspend, with what its
// parties state, at one of them, the bank.
type forum struct {
	t    *testing.T
	at   time.Time
	w    *world
	g    *governing
	said *statements
}

func newForum(t *testing.T) *forum {
	f := &forum{t: t, at: time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)}
	f.w = &world{members: map[protocol.MemberID]*member{}, until: f.at.AddDate(1, 0, 0)}
	doc := &protocol.Agreement{ID: protocol.AgreementID{1}, Hash: protocol.Hash{2}, Version: 1, Name: "watch", Suspend: &protocol.Selector{Kinds: []string{"cert"}}}
	f.g = &governing{doc: doc, party: true, state: stateInForce}
	for _, p := range []struct{ handle, kind string }{{"bank", "company"}, {"vendor", "vendor"}, {"one", "cert"}, {"two", "cert"}} {
		id := protocol.MemberID(sha256.Sum256([]byte(p.handle)))
		doc.Parties = append(doc.Parties, protocol.Party{Handle: p.handle, ID: id, Kind: p.kind})
		first := &protocol.Record{Handle: p.handle, Member: id}
		first.Operations.Key, first.Operations.From, first.Operations.Until = publicOf(seedKey(p.handle+" 1")), f.at.AddDate(0, -2, 0), f.at.AddDate(0, 0, 7)
		second := &protocol.Record{Handle: p.handle, Member: id}
		second.Operations.Key, second.Operations.From, second.Operations.Until = publicOf(seedKey(p.handle+" 2")), f.at.AddDate(0, 0, 6), f.at.AddDate(0, 2, 0)
		f.w.members[id] = &member{id: id, records: []kept[*protocol.Record]{{parsed: first}, {parsed: second}}}
	}
	f.w.self = doc.Parties[0].ID
	f.said = &statements{read: map[protocol.LogID]uint64{}, last: map[statementKey]spoken{}}
	return f
}

func (f *forum) id(handle string) protocol.MemberID {
	return protocol.MemberID(sha256.Sum256([]byte(handle)))
}

// state has a member make a statement, in a message of its own.
func (f *forum) state(kind protocol.StatementKind, member, party string, at time.Time, key string) {
	f.t.Helper()
	s := protocol.Statement{Kind: kind, Agreement: f.g.doc.ID, Version: 1, Head: f.g.doc.Hash, Member: f.id(member), Time: at}
	if party != "" {
		s.Party = f.id(party)
	}
	f.say(s, key)
}

// say has a statement come in a message of its own.
func (f *forum) say(s protocol.Statement, key string) {
	f.t.Helper()
	codec, err := protocol.NewCodec(protocol.DefaultLimits())
	if err != nil {
		f.t.Fatal(err)
	}
	sealed, err := protocol.SealStatement(s, seedKey(key))
	if err != nil {
		f.t.Fatal(err)
	}
	body, err := codec.Pack([][]byte{sealed}, [32]byte{})
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := codec.Seal(protocol.Draft{
		Agreement: f.g.doc.ID, AgreementVersion: 1, Lane: protocol.TopicLane(protocol.AgreementTopic), Author: protocol.Author{Member: s.Member, Node: 1},
		Epoch: 1, Incarnation: protocol.Incarnation{1}, Time: s.Time, Audience: protocol.Audience{Kind: protocol.AllParties}, Content: protocol.Control, Body: body,
	}, protocol.Position{}, nil, seedKey("node"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.said.take(f.g, m)
}

// halted names those who are halted at a moment.
func (f *forum) halted(now time.Time) string {
	f.g.state = stateInForce
	f.w.halt(f.g, f.said, now)
	var names []string
	for _, p := range f.g.doc.Parties {
		if _, ok := f.g.halted[p.ID]; ok {
			names = append(names, p.Handle)
		}
	}
	return strings.Join(names, " ")
}

func TestSuspensionsLapse(t *testing.T) {
	f := newForum(t)
	f.state(protocol.Suspension, "one", "vendor", f.at, "one 1")
	end := f.at.Add(14 * 24 * time.Hour)
	if got := f.halted(end.Add(-time.Microsecond)); got != "vendor" || !f.w.until.Equal(end) {
		t.Errorf("a moment before it lapses %q is halted, and the world lasts until %s", got, f.w.until)
	}
	if got := f.halted(end); got != "" {
		t.Errorf("%q is halted when the suspension has lapsed", got)
	}
	f.g.doc.Parties[1].Suspended = true
	if got := f.halted(end); got != "vendor" || !f.g.halted[f.id("vendor")].permanent() {
		t.Errorf("an amendment confirms it, and %q is halted", got)
	}
}

func TestWhoMaySuspend(t *testing.T) {
	hour := time.Hour
	for name, c := range map[string]struct {
		make func(f *forum)
		want string
	}{
		"who is not entitled":   {func(f *forum) { f.state(protocol.Suspension, "bank", "vendor", f.at, "bank 1") }, ""},
		"itself":                {func(f *forum) { f.state(protocol.Suspension, "one", "one", f.at, "one 1") }, ""},
		"nobody's key":          {func(f *forum) { f.state(protocol.Suspension, "one", "vendor", f.at, "two 1") }, ""},
		"a key before its time": {func(f *forum) { f.state(protocol.Suspension, "one", "vendor", f.at, "one 2") }, ""},
		"a key after its time":  {func(f *forum) { f.state(protocol.Suspension, "one", "vendor", f.at.AddDate(0, 0, 8), "one 1") }, ""},
		"a key that came later": {func(f *forum) { f.state(protocol.Suspension, "one", "vendor", f.at.AddDate(0, 0, 8), "one 2") }, "vendor"},
		"a stranger":            {func(f *forum) { f.state(protocol.Suspension, "stranger", "vendor", f.at, "one 1") }, ""},
		"lifted by another":     {func(f *forum) { f.suspended(); f.state(protocol.Resumption, "two", "vendor", f.at.Add(hour), "two 1") }, ""},
		"lifted by a party": {func(f *forum) {
			f.suspended()
			f.state(protocol.Resumption, "bank", "vendor", f.at.Add(hour), "bank 1")
		}, "vendor"},
		"lifted before it began": {func(f *forum) { f.suspended(); f.state(protocol.Resumption, "two", "vendor", f.at.Add(-hour), "two 1") }, "vendor"},
		"the suspended hits back": {func(f *forum) {
			f.state(protocol.Suspension, "one", "two", f.at, "one 1")
			f.state(protocol.Suspension, "two", "one", f.at.Add(hour), "two 1")
			f.state(protocol.Resumption, "two", "two", f.at.Add(hour), "two 1")
		}, "two"},
		"an older one comes late": {func(f *forum) {
			f.suspended()
			f.state(protocol.Resumption, "one", "vendor", f.at.Add(hour), "one 1")
			f.state(protocol.Suspension, "one", "vendor", f.at.Add(-hour), "one 1")
		}, ""},
		"who withdrew is not resumed": {func(f *forum) {
			f.state(protocol.Withdrawal, "vendor", "", f.at, "vendor 1")
			f.state(protocol.Resumption, "one", "vendor", f.at.Add(hour), "one 1")
		}, "vendor"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newForum(t)
			c.make(f)
			if got := f.halted(f.at.AddDate(0, 0, 9)); got != c.want {
				t.Errorf("%q is halted, want %q", got, c.want)
			}
		})
	}
}

func (f *forum) suspended() { f.state(protocol.Suspension, "one", "vendor", f.at, "one 1") }

// TestStatementsAreBounded has one party state much, and holds what is kept of it
// to what parties can say of each other.
func TestStatementsAreBounded(t *testing.T) {
	f := newForum(t)
	for i := range 200 {
		f.state(protocol.Suspension, "one", "vendor", f.at.Add(time.Duration(i)*time.Second), "one 1")
		f.state(protocol.Resumption, "one", "vendor", f.at.Add(time.Duration(i)*time.Second), "one 1")
	}
	if len(f.said.last) != 2 {
		t.Errorf("%d statements are kept", len(f.said.last))
	}
}

func TestWithdrawals(t *testing.T) {
	f := newForum(t)
	f.state(protocol.Withdrawal, "vendor", "", f.at, "vendor 1")
	f.state(protocol.Withdrawal, "one", "", f.at.Add(time.Hour), "one 1")
	if got := f.halted(f.at.Add(time.Hour)); got != "vendor one" || f.g.state != stateInForce {
		t.Errorf("%q have gone, and the agreement is %s", got, f.g.state)
	}
	f.w.self = f.id("one")
	if f.halted(f.at.Add(time.Hour)); f.g.state != stateWithdrawn || !strings.Contains(f.g.stateText(), "one withdrew") {
		t.Errorf("at who has withdrawn it is %s: %s", f.g.state, f.g.stateText())
	}
	f.w.self = f.id("bank")
	f.state(protocol.Withdrawal, "two", "", f.at.Add(2*time.Hour), "two 1")
	if f.halted(f.at.Add(time.Hour)); f.g.state != stateWithdrawn || !strings.Contains(f.g.stateText(), "two withdrew") {
		t.Errorf("when nobody else is left it is %s: %s", f.g.state, f.g.stateText())
	}
}
