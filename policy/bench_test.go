package policy

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"entente/protocol"
)

// large makes an agreement of many parties and clauses, ten clauses a topic,
// with one date in the middle of its time: on either side of testNow another
// class is in force, so that asking at both in turn decides anew each time.
func large(id byte, parties, clauses, topics int) *protocol.Agreement {
	a := alliance()
	a.ID, a.Name = protocol.AgreementID{id}, "large"+strconv.Itoa(int(id))
	kinds, countries, types := []string{"company", "cert", "government"}, []string{"DE", "US", "FR", "JP"}, []string{"indicator", "malware", "ipv4-addr", "note", "report"}
	for len(a.Parties) < parties {
		n := len(a.Parties)
		h := "member" + strconv.Itoa(n)
		a.Parties = append(a.Parties, protocol.Party{Handle: h, ID: member(h), Kind: kinds[n%3], Country: countries[n%4]})
	}
	for len(a.Topics) < topics {
		a.Topics = append(a.Topics, protocol.Topic{Name: "topic" + strconv.Itoa(len(a.Topics))})
	}
	a.Topics = a.Topics[:topics]
	for n := range clauses {
		c := protocol.Clause{Number: strconv.Itoa(n + 1), Text: "prose of the clause", Permit: n%4 != 3, Topics: []string{a.Topics[n%len(a.Topics)].Name}}
		switch k := n / len(a.Topics); (n + k) % 5 {
		case 0:
			c.Max = protocol.Amber
		case 1:
			c.From.Kinds, c.Types = kinds[:1+n%3], types[:1+n%5]
		case 2:
			c.To.Countries, c.Marks = countries[:1+n%4], []protocol.Marking{protocol.Amber, protocol.AmberStrict}
		case 3:
			c.From.Parties = []string{a.Parties[n%parties].Handle}
		case 4:
			c.To.Kinds, c.Starts = kinds[n%3:], testNow
		}
		a.Clauses = append(a.Clauses, c)
	}
	return a
}

// hundred is an engine of 100 agreements with 1,000 clauses.
func hundred(tb testing.TB) *Engine {
	tb.Helper()
	var all []*protocol.Agreement
	for i := range 100 {
		all = append(all, large(byte(i+1), 10, 10, 2))
	}
	e, err := Compile(member("bank"), all)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// either returns the moments on both sides of the date in large, in turn.
func either(n int) time.Time { return testNow.Add(-time.Duration(n & 1)) }

// TestKnownClassMakesNoGarbage asks each question again: nothing is allocated.
func TestKnownClassMakesNoGarbage(t *testing.T) {
	e := hundred(t)
	id, s := protocol.AgreementID{50}, Subject{Type: "indicator", Marking: protocol.Green}
	for name, ask := range map[string]func(){
		"outbound": func() { e.Outbound(id, "iocs", member2, s, testNow) },
		"inbound":  func() { e.Inbound(id, "iocs", member2, s, testNow) },
		"read":     func() { e.Read(Reader{Member: member3}, id, "iocs", member2, s, testNow) },
		"stranger": func() { e.Read(Reader{}, id, "iocs", member2, s, testNow) },
		"unmarked": func() { e.Outbound(id, "reports", member2, Subject{Type: "tool"}, testNow) },
		"red":      func() { e.Outbound(id, "iocs", member2, Subject{Type: "tool", Marking: protocol.Red}, testNow) },
	} {
		if n := testing.AllocsPerRun(100, ask); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// terms makes an agreement whose one topic reads every facet of an object.
func terms(parties int) *protocol.Agreement {
	a := large(1, parties, 100, 1)
	a.Topics[0].Name, a.Scores = "iocs", []protocol.Contribution{{Name: "gives"}}
	for i := range a.Clauses {
		c := &a.Clauses[i]
		c.If.Context = i%5 == 0
		c.If.Confidence = i % 101 * (i & 1)
		c.If.PAP = protocol.PAP(i % 5)
		switch i % 6 {
		case 0:
			c.If.Age = protocol.Period{Count: 30 * (1 + i), Unit: protocol.Days}
		case 1:
			c.If.Age = protocol.Period{Count: 1 + i, Unit: protocol.Months}
		}
		if !c.Permit {
			c.If.Classes = 1 << (i % 8)
			continue
		}
		c.If.Classes = protocol.Operational | 1<<(i%8)
		if i%7 == 0 {
			c.If.Purposes = []string{"network-defence"}
		}
		if i%8 == 0 {
			c.If.Contribution = "gives"
		}
		c.Then = &protocol.Obligations{Retain: protocol.Period{Count: 1 + i%7, Unit: protocol.Years}, AtRest: i%3 == 0, Redact: protocol.RedactionThings()[i%8 : i%8+1]}
	}
	return a
}

// detailed is a subject that has something of every facet.
func detailed() Subject {
	return Subject{Type: "indicator", Marking: protocol.Green, PAP: protocol.PAPGreen, Context: true, Confidence: 60,
		Modified: testNow.AddDate(0, 0, -45)}
}

// TestTermsMakeNoGarbage asks a topic that reads everything, and two versions of
// it at once, a second time.
func TestTermsMakeNoGarbage(t *testing.T) {
	a, b := terms(20), terms(20)
	b.Version, b.Hash = 4, protocol.Hash{1}
	one, s := compileOne(t, "bank", a), detailed()
	two, err := Compile(member("bank"), []*protocol.Agreement{a, b})
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*Engine{"one version": one, "two versions": two} {
		if v := e.Outbound(a.ID, "iocs", member2, s, testNow); v.Layer != Governing {
			t.Errorf("%s: decided by %v", name, v.Layer)
		}
		if n := testing.AllocsPerRun(100, func() {
			e.Inbound(a.ID, "iocs", member2, s, testNow)
			e.Read(Reader{Member: member3, Purpose: "network-defence"}, a.ID, "iocs", member2, s, testNow)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { one.Outbound(a.ID, "iocs", member2, s, testNow) }); n != 0 {
		t.Errorf("outbound: %v allocations", n)
	}
}

// TestCacheIsBounded asks about objects that differ in everything that peers may
// set: what is kept does not grow with them.
func TestCacheIsBounded(t *testing.T) {
	a := terms(10)
	e := compileOne(t, "bank", a)
	places := func() (n int) {
		for i := range e.Rules(a.ID).topics["iocs"].cache.rows {
			if row := e.Rules(a.ID).topics["iocs"].cache.rows[i].Load(); row != nil {
				n += len(*row)
			}
		}
		return n
	}
	most := 0
	for n := range 20000 {
		s := detailed()
		s.Classes, s.Inherent, s.PAP, s.Confidence = protocol.Class(n*7919), protocol.Class(n), protocol.PAP(n), n%200-50
		s.Modified = testNow.Add(-time.Duration(n) * time.Hour)
		as := Reader{Member: member3, Purpose: append(protocol.Purposes(), strconv.Itoa(n))[n%11]}
		d := e.Read(as, a.ID, "iocs", member2, s, testNow)
		if n%10 == 0 { // places are shared by many classes by now: none may answer for another
			cold, err := NewEngine(member("bank"), e.Rules(a.ID).With(Facts{}))
			if err != nil {
				t.Fatal(err)
			}
			if want := cold.Read(as, a.ID, "iocs", member2, s, testNow); d != want {
				t.Fatalf("question %d\n got %+v\nwant %+v", n, d, want)
			}
		}
		if most == 0 {
			most = places()
		}
	}
	if got := places(); got != most || got > 2*mostPlaces {
		t.Errorf("%d places, at first %d", got, most)
	}
	if kept := e.Rules(a.ID).topics["iocs"]; kept.asked.kinds() <= kept.cache.places {
		t.Error("every class has a place of its own, so nothing is tried here")
	}
	if known := len(e.Rules(a.ID).duties.known); known > mostDuties {
		t.Errorf("%d combinations of obligations", known)
	}
}

// TestUnreadFacetsCostNothing has a topic whose clauses ask nothing of objects
// but their class: it keeps a class for what is operational and one for the rest.
func TestUnreadFacetsCostNothing(t *testing.T) {
	e := compileOne(t, "bank", alliance(protocol.Clause{Number: "1", Permit: true, Text: "all"}))
	asked := &e.Rules(protocol.AgreementID{1}).topics["iocs"].asked
	if kinds := asked.kinds(); kinds != 2 {
		t.Errorf("%d kinds, want 2", kinds)
	}
	plain := Subject{Type: "indicator", Marking: protocol.Green}
	a := e.Outbound(protocol.AgreementID{1}, "iocs", member2, plain, testNow)
	b := e.Outbound(protocol.AgreementID{1}, "iocs", member2, detailed(), testNow)
	if a.Outcome != Allow || a.Decision != b.Decision || &a.Readers[0] != &b.Readers[0] {
		t.Errorf("what nobody reads makes a difference: %+v, %+v", a, b)
	}
	if !e.Plain(protocol.AgreementID{1}, "iocs") || compileOne(t, "bank", terms(3)).Plain(protocol.AgreementID{1}, "iocs") {
		t.Error("the engine does not know what its clauses read")
	}
}

var member2, member3 = member("vendor"), member("cert")

// TestClassesShareReaders looks at what a verdict costs in memory: its lists
// are those of the class, and classes with the same readers have one list.
func TestClassesShareReaders(t *testing.T) {
	e := compileOne(t, "bank", alliance(protocol.Clause{Number: "1", Permit: true, Types: []string{"indicator", "tool"}}))
	ask := func(typ string) Verdict {
		return e.Outbound(protocol.AgreementID{1}, "iocs", member2, Subject{Type: typ}, testNow)
	}
	a, b, c := ask("indicator"), ask("indicator"), ask("tool")
	if &a.Readers[0] != &b.Readers[0] || &a.Readers[0] != &c.Readers[0] {
		t.Error("verdicts of the same readers have lists of their own")
	}
	if d, e := ask("note"), ask("note"); &d.Denied[0] != &e.Denied[0] {
		t.Error("verdicts of one class have denials of their own")
	}
}

func BenchmarkKnownClass(b *testing.B) {
	e := hundred(b)
	id, s := protocol.AgreementID{50}, Subject{Type: "indicator", Marking: protocol.Green}
	b.Run("outbound", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Outbound(id, "iocs", member2, s, testNow)
		}
	})
	b.Run("inbound", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Inbound(id, "iocs", member2, s, testNow)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Read(Reader{Member: member3}, id, "iocs", member2, s, testNow)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				e.Outbound(id, "iocs", member2, s, testNow)
			}
		})
	})
}

// BenchmarkTerms asks a topic of 100 clauses whose every term is used.
func BenchmarkTerms(b *testing.B) {
	a := terms(10)
	e, s := compileOne(b, "bank", a), detailed()
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Outbound(a.ID, "iocs", member2, s, testNow)
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			e.Outbound(a.ID, "iocs", member2, s, either(n))
		}
	})
	wide := terms(300)
	w := compileOne(b, "bank", wide)
	b.Run("audience of 300", func(b *testing.B) {
		b.ReportAllocs()
		denied := 0
		for n := 0; b.Loop(); n++ {
			v := w.Outbound(wide.ID, "iocs", wide.Parties[n%300].ID, s, either(n/300))
			denied += len(v.Denied)
		}
		b.ReportMetric(float64(denied)/float64(b.N), "denied/op")
	})
}

// BenchmarkFacts gives other facts to the rules of 1,000 clauses and 300 parties.
func BenchmarkFacts(b *testing.B) {
	r, err := CompileAgreement(large(1, 300, 1000, 100))
	if err != nil {
		b.Fatal(err)
	}
	facts := Facts{Suspended: map[protocol.MemberID]time.Time{member2: testNow}}
	b.ReportAllocs()
	for b.Loop() {
		r.With(facts)
	}
}

// BenchmarkNewClass decides anew each time among 100 agreements of 1,000 clauses.
func BenchmarkNewClass(b *testing.B) {
	e := hundred(b)
	s := Subject{Type: "indicator", Marking: protocol.Green}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		e.Outbound(protocol.AgreementID{byte(1 + n/2%100)}, "iocs", member2, s, either(n))
	}
}

// BenchmarkAudience decides anew each time for 300 parties, over all authors
// and markings; it says how many readers were denied on average.
func BenchmarkAudience(b *testing.B) {
	for _, topics := range []int{1, 100} {
		a := large(1, 300, 1000, topics)
		e := compileOne(b, "bank", a)
		b.Run(fmt.Sprintf("%d clauses a topic", 1000/topics), func(b *testing.B) {
			b.ReportAllocs()
			denied := 0
			for n := 0; b.Loop(); n++ {
				s := Subject{Type: "indicator", Marking: protocol.Marking(1 + n/300%4)}
				v := e.Outbound(a.ID, "iocs", a.Parties[n%300].ID, s, either(n/1200))
				denied += len(v.Denied)
			}
			b.ReportMetric(float64(denied)/float64(b.N), "denied/op")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	a := large(1, 300, 1000, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CompileAgreement(a); err != nil {
			b.Fatal(err)
		}
	}
}

// attack makes items of the shape of the ATT&CK bundle: objects that refer to
// nothing, relationships between them, and a few that miss their target.
func attack(objects, relationships int) []ClosureItem {
	id := func(n int) string { return fmt.Sprintf("attack-pattern--%08d-0000-4000-8000-000000000000", n) }
	var items []ClosureItem
	for n := range objects {
		items = append(items, ClosureItem{ID: id(n), Allowed: n%50 != 0})
	}
	for n := range relationships {
		target := n * 7919 % objects
		if n%2000 == 0 {
			target = objects + n
		}
		items = append(items, ClosureItem{ID: id(1_000_000 + n), Refs: []string{id(n % objects), id(target)}, Allowed: true})
	}
	return items
}

func BenchmarkClose(b *testing.B) {
	items := attack(5000, 20000)
	b.ReportAllocs()
	for b.Loop() {
		Close(items, nil)
	}
}

// BenchmarkHolding streams relationships before their targets.
func BenchmarkHolding(b *testing.B) {
	items := attack(5000, 20000)
	for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
		items[i], items[j] = items[j], items[i]
	}
	b.ReportAllocs()
	for b.Loop() {
		h := NewHolding(1<<20, func(string) bool { return false })
		for _, item := range items {
			h.Add(item)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(items)), "ns/item")
}
