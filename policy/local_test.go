package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// drawLocal draws rules of an operator, in the words of agreements that there are
// and of some that there are not.
func drawLocal(t *rapid.T, a *protocol.Agreement) *protocol.LocalRules {
	rules := &protocol.LocalRules{}
	for i := range rapid.IntRange(0, 5).Draw(t, "local clauses") {
		c := protocol.LocalClause{Agreements: drawOnce(t, "agreements", []string{a.Name}, []string{a.ID.String(), "other"}, []string{"other"})}
		c.Clause = protocol.Clause{
			Number: strconv.Itoa(i + 1), Text: "local", From: drawLocalChoice(t, "from"), To: drawLocalChoice(t, "to"),
			Topics: drawOnce(t, "topics", []string{"iocs"}, []string{"reports", "elsewhere"}, []string{"elsewhere"}),
			Types:  drawOnce(t, "types", []string{"indicator"}, []string{"x-unheard-of", "note"}, []string{"x-new"}),
			Starts: drawMoment(t, "starts"), Ends: drawMoment(t, "ends"), Max: protocol.Marking(drawOnce(t, "max", 1, 2, 3, 4)),
		}
		if !c.Starts.IsZero() && !c.Ends.IsZero() && !c.Starts.Before(c.Ends) {
			c.Ends = time.Time{}
		}
		if drawOnce(t, "public", true) {
			c.To = protocol.Selector{Public: true}
		}
		drawTerms(t, a, &c.Clause)
		c.Everywhere = false
		if rapid.Bool().Draw(t, "unless?") {
			spared := protocol.Clause{Permit: true, To: c.To}
			drawTerms(t, a, &spared)
			spared.If.Contribution = ""
			c.Unless = &spared.If
		}
		rules.Clauses = append(rules.Clauses, c)
	}
	return rules
}

// drawLocalChoice draws a choice of parties as agreements do, or by names that
// an agreement may not know.
func drawLocalChoice(t *rapid.T, label string) protocol.Selector {
	if rapid.IntRange(0, 3).Draw(t, label+" by name") > 0 {
		return drawSelector(t, label)
	}
	names := []string{"bank", "unheard-of", member("vendor").String(), member("stranger").String()}
	return protocol.Selector{Parties: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 2, rapid.ID[string]).Draw(t, label), Countries: drawOnce(t, "in", []string{"DE"})}
}

// refChoice: does a local choice of parties name the party.
func refChoice(s protocol.Selector, p *protocol.Party) bool {
	byID := *p
	byID.Handle = p.ID.String()
	return refSelects(s, p) || refSelects(s, &byID)
}

// keeps: does a local clause keep things from a reader.
func (r reference) keeps(c protocol.LocalClause, as protocol.MemberID) bool {
	p, open := refParty(r.Agreement, as), refSelects(c.To, nil) && !c.To.Public
	switch {
	case p != nil:
		return !c.To.Public && refChoice(c.To, p)
	case as == r.self && !r.self.IsZero():
		return open || slices.Contains(c.To.Parties, as.String())
	case open || c.To.Public || len(c.To.Kinds)+len(c.To.Countries)+len(c.To.Roles) > 0:
		return true
	}
	for i := range r.Parties { // who is named could read as the public
		if q := &r.Parties[i]; q.ID != r.self && refChoice(c.To, q) {
			return true
		}
	}
	return false
}

// localNo is the number of the local clause that denies, or "".
func (r reference) localNo(local *protocol.LocalRules, q ask, as Reader) string {
	gives := q.author == r.self && refParty(r.Agreement, r.self) != nil // who left gives no more
	if !gives && as.Member != r.self || q.author == as.Member || r.self.IsZero() {
		return ""
	}
	writer := refParty(r.Agreement, q.author)
	for _, c := range local.Clauses {
		if len(c.Agreements) > 0 && !slices.Contains(c.Agreements, r.Name) && !slices.Contains(c.Agreements, r.ID.String()) ||
			!refLive(c.Clause, q.now) || !refTopic(c.Clause, q.topic) || writer != nil && !refChoice(c.From, writer) || !r.keeps(c, as.Member) || !r.object(c.Clause, q) {
			continue
		}
		if u := c.Unless; u != nil {
			met := protocol.Clause{Permit: true, If: *u}
			if u.Classes == 0 {
				met.If.Classes = 1<<16 - 1
			}
			if r.object(met, q) && refServes(met, as) {
				continue
			}
		}
		return c.Number
	}
	return ""
}

// outboundLocal is outbound, less those from whom local rules keep it.
func (r reference) outboundLocal(local *protocol.LocalRules, topic string, author protocol.MemberID, s Subject, now time.Time) verdict {
	v := r.outbound(topic, author, s, now)
	if author != r.self {
		return v
	}
	m, _ := refMarking(r.Agreement, topic, s)
	q := ask{topic, author, s, m, now}
	type denial struct{ short, text string }
	var all []denial
	for _, text := range v.denied {
		all = append(all, denial{strings.SplitN(text, "{", 2)[0], text})
	}
	var left []string
	for _, id := range v.readers {
		p := slices.IndexFunc(append(r.Parties, protocol.Party{}), func(p protocol.Party) bool { return p.ID.Short() == id })
		as := Reader{Member: append(r.Parties, protocol.Party{})[p].ID, Remote: true}
		no := r.localNo(local, q, as)
		if as.Member == author || no == "" {
			left = append(left, id)
			continue
		}
		all = append(all, denial{id, fmt.Sprint(id, answer{Withhold, Local, no, r.reader(q, as).duties})})
	}
	if len(all) == len(v.denied) {
		return v
	}
	slices.SortFunc(all, func(a, b denial) int { return bytes.Compare([]byte(a.short), []byte(b.short)) })
	out := verdict{outcome: Withhold, readers: left, duties: v.duties}
	for _, d := range all {
		out.denied = append(out.denied, d.text)
	}
	if len(left) < 2 && m != protocol.Red {
		out.readers = nil
		if v.outcome == Allow {
			out.outcome = Refuse
		}
	}
	return out
}

func compileUnder(t *rapid.T, self protocol.MemberID, facts Facts, local *protocol.LocalRules, all ...*protocol.Agreement) *Engine {
	var rules []*Rules
	for _, a := range all {
		r, err := CompileAgreement(a)
		if err == nil {
			r, err = r.Under(local, self)
		}
		if err != nil {
			t.Fatalf("compile: %v", err)
		}
		rules = append(rules, r.With(facts))
	}
	e, err := NewEngine(self, rules...)
	if err != nil {
		t.Fatalf("engine: %v", err)
	}
	return e
}

// TestLocalReference holds the engine under local rules to the reference, which
// reads them as the package comment does.
func TestLocalReference(t *testing.T) {
	denied := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		ref := reference{drawAgreement(t), drawFacts(t), drawMember(t, "self")}
		drawWide(t, ref.Agreement)
		local := drawLocal(t, ref.Agreement)
		e := compileUnder(t, ref.self, ref.facts, local, ref.Agreement)
		for range 30 {
			q := drawQuestion(t)
			if rapid.Bool().Draw(t, "given") {
				q.author = ref.self
			} else if rapid.Bool().Draw(t, "taken") {
				q.reader, q.remote = ref.self, rapid.Bool().Draw(t, "carried")
			}
			m, marked := refMarking(ref.Agreement, q.topic, q.subject)
			known := marked && (refParty(ref.Agreement, q.author) != nil || refFormer(ref.Agreement, q.author))
			v := e.Outbound(ref.ID, q.topic, q.author, q.subject, q.now)
			got, want := readVerdict(v), ref.outboundLocal(local, q.topic, q.author, q.subject, q.now)
			if v.Layer == Local {
				denied["outbound"]++
				got.duties, want.duties = "", ""
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("outbound %+v\n got %+v (%s)\nwant %+v\nlocal %+v", q, got, v.Text, want, local)
			}
			if !known {
				continue
			}
			as, question := Reader{Member: q.reader, Purpose: q.purpose, Remote: q.remote}, ask{q.topic, q.author, q.subject, m, q.now}
			right := answer{Allow, Floor, "", ""}
			if q.reader != q.author || q.author.IsZero() {
				right = ref.reader(question, as)
				if no := ref.localNo(local, question, as); no != "" && right.outcome == Allow {
					right = answer{Withhold, Local, no, right.duties}
					denied["read"]++
				}
			}
			if d := e.Read(as, ref.ID, q.topic, q.author, q.subject, q.now); readAnswer(d) != right {
				t.Fatalf("read %+v\n got %v (%s)\nwant %v\nlocal %+v", q, readAnswer(d), d.Text, right, local)
			}
			allowed, outcome := ref.inbound(q.topic, q.author, q.subject, q.now), Refuse
			if allowed {
				outcome = Allow
			}
			if no := ref.localNo(local, question, Reader{Member: ref.self, Remote: true}); allowed && no != "" {
				outcome = Withhold
				denied["inbound"]++
			}
			if d := e.Inbound(ref.ID, q.topic, q.author, q.subject, q.now); d.Outcome != outcome || (outcome == Withhold) != (d.Layer == Local) {
				t.Fatalf("inbound %+v: got %+v, want %v\nlocal %+v", q, d, outcome, local)
			}
		}
	})
	proportionate(t)
	if denied["outbound"]+denied["read"]+denied["inbound"] < 5 {
		t.Errorf("the draw is lopsided: %v", denied)
	}
	t.Logf("denied by local rules: %v", denied)
}

// TestLocalOnlyNarrows: what is denied without local rules is denied with them,
// for the same reason, and what they say ends no later than it says.
func TestLocalOnlyNarrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, facts, self := drawAgreement(t), drawAgreement(t), drawFacts(t), member("bank")
		b.Version = 4
		local := drawLocal(t, a)
		versions := [][]*protocol.Agreement{{a}, {a, b}}[rapid.IntRange(0, 1).Draw(t, "versions")]
		plain, narrow := compileDrawn(t, self, facts, versions...), compileUnder(t, self, facts, local, versions...)
		again := compileUnder(t, self, facts, local, versions...)
		for range 30 {
			q := drawQuestion(t)
			as := Reader{Member: q.reader, Purpose: q.purpose, Remote: q.remote}
			ask := func(e *Engine, now time.Time) []Decision {
				return []Decision{
					e.Outbound(a.ID, q.topic, q.author, q.subject, now).Decision, e.Inbound(a.ID, q.topic, q.author, q.subject, now),
					e.Read(as, a.ID, q.topic, q.author, q.subject, now),
				}
			}
			without, with := ask(plain, q.now), ask(narrow, q.now)
			for i, d := range with {
				if d.Layer == Local {
					if without[i].Outcome != Allow {
						t.Fatalf("door %d of %+v: local rules decided %+v, where the agreement says %+v", i, q, d, without[i])
					}
				} else if readAnswer(d) != readAnswer(without[i]) {
					t.Fatalf("door %d of %+v: %+v, and without local rules %+v", i, q, d, without[i])
				}
				if d.Outward() != "not available" && d.Outcome != Allow {
					t.Fatalf("%+v says %q", d, d.Outward())
				}
				for _, m := range append(moments, d.Expires.Add(-time.Microsecond)) {
					if m.After(q.now) && (d.Expires.IsZero() || m.Before(d.Expires)) && readAnswer(ask(narrow, m)[i]) != readAnswer(d) {
						t.Fatalf("door %d of %+v: %+v did not last until %v", i, q, d, m)
					}
				}
			}
			cold := ask(again, q.now)
			if !reflect.DeepEqual(cold, with) {
				t.Fatalf("%+v: two engines differ\n%+v\n%+v", q, cold, with)
			}
			again = compileUnder(t, self, facts, local, versions...)
		}
	})
}

// TestLocalKeepsBarred: local rules shut nobody out of a topic, since others go on
// sending there to whom their agreement names.
func TestLocalKeepsBarred(t *testing.T) {
	a := alliance()
	a.Clauses = []protocol.Clause{{Number: "1", Permit: true}}
	local := &protocol.LocalRules{Clauses: []protocol.LocalClause{{Clause: protocol.Clause{Number: "1", Text: "not to the vendor", To: protocol.Selector{Parties: []string{"vendor"}}}}}}
	rules, err := CompileAgreement(a)
	if err != nil {
		t.Fatal(err)
	}
	under, err := rules.Under(local, member("bank"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(member("bank"), under)
	if err != nil {
		t.Fatal(err)
	}
	s := Subject{Type: "indicator", Marking: protocol.Green}
	if barred, _ := e.Barred(a.ID, "iocs", testNow); len(barred) > 0 {
		t.Errorf("barred: %v", barred)
	}
	v := e.Outbound(a.ID, "iocs", member("bank"), s, testNow)
	if v.Outcome != Withhold || v.Layer != Local || len(v.Denied) != 1 || v.Denied[0].Reader != member("vendor") {
		t.Errorf("it goes on a topic that the vendor reads: %+v", v)
	}
	if v := e.Outbound(a.ID, "iocs", member("cert"), s, testNow); v.Outcome != Allow {
		t.Errorf("what another gives is not this member's: %+v", v)
	}
	if d := e.Read(Reader{Member: member("vendor"), Remote: true}, a.ID, "iocs", member("cert"), s, testNow); d.Outcome != Allow {
		t.Errorf("carriage is its author's disclosure: %+v", d)
	}
	x := e.Explain(a.ID, "iocs", member("bank"), s, testNow, member("vendor"), member("cert"))
	if text := x.String(); !strings.Contains(text, "-> local rule 1: ") || !strings.Contains(text, "local rule 1, not here") {
		t.Errorf("the trail does not show the rule:\n%s", text)
	}
	if !e.Narrowed(a.ID) || e.Narrowed(protocol.AgreementID{9}) {
		t.Error("which agreements are narrowed")
	}
}

// TestLocalRulesThatCannotBe: what the reader of documents refuses is refused here
// as well.
func TestLocalRulesThatCannotBe(t *testing.T) {
	rules, err := CompileAgreement(alliance())
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]protocol.LocalClause{
		"only narrow":       {Clause: protocol.Clause{Permit: true}},
		"cannot say":        {Clause: protocol.Clause{Everywhere: true}},
		"no type of STIX":   {Clause: protocol.Clause{Types: []string{"indicater"}}},
		"before it starts":  {Clause: protocol.Clause{Starts: testUntil, Ends: testFrom}},
		"no TLP level":      {Clause: protocol.Clause{Max: 9}},
		"no purpose":        {Unless: &protocol.Conditions{Purposes: []string{"sport"}}},
		"no contribution":   {Clause: protocol.Clause{If: protocol.Conditions{Contribution: "gives"}}},
		"no subject class":  {Unless: &protocol.Conditions{Classes: 1 << 14}},
		"from 1 to 100":     {Unless: &protocol.Conditions{Confidence: 101}},
		"has none of the":   {Unless: &protocol.Conditions{Contribution: "gives"}},
		"count from 1":      {Clause: protocol.Clause{If: protocol.Conditions{Age: protocol.Period{Count: 20000, Unit: protocol.Days}}}},
		"can never apply":   {Clause: protocol.Clause{Max: protocol.Clear, Marks: []protocol.Marking{protocol.Red}}},
		"is no PAP level":   {Clause: protocol.Clause{If: protocol.Conditions{PAP: 9}}},
		"has no obligation": {Clause: protocol.Clause{Then: &protocol.Obligations{AtRest: true}}},
	} {
		c.Number, c.Line = "7", 12
		_, err := rules.Under(&protocol.LocalRules{Clauses: []protocol.LocalClause{c}}, member("bank"))
		if protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "clause 7 (line 12)") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestResolve finds words that name nothing.
func TestResolve(t *testing.T) {
	a := alliance()
	local := &protocol.LocalRules{Clauses: []protocol.LocalClause{
		{Clause: protocol.Clause{Number: "1", Line: 5, To: protocol.Selector{Parties: []string{"vendor", "vendour"}, Roles: []string{"cook"}}, Topics: []string{"iocs", "rumours"}}},
		{Clause: protocol.Clause{Number: "2", Line: 9, From: protocol.Selector{Parties: []string{member("cert").String()}}}, Agreements: []string{a.Name, "other"}},
		{Clause: protocol.Clause{Number: "3", Line: 12, To: protocol.Selector{Parties: []string{"whoever"}}}, Agreements: []string{"other"}},
	}}
	var got []string
	for _, u := range Resolve(local, []*protocol.Agreement{a}) {
		got = append(got, u.String())
	}
	want := []string{
		"clause 1 (line 5): no agreement that it binds has the party vendour", "clause 1 (line 5): no agreement that it binds has the role cook",
		"clause 1 (line 5): no agreement that it binds has the topic rumours", "clause 2 (line 9): there is no agreement other here",
		"clause 3 (line 12): there is no agreement other here",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// hundredRules are a hundred rules of an operator on every topic, which use every
// term and deny little.
func hundredRules() *protocol.LocalRules {
	rules := &protocol.LocalRules{}
	for i := range 100 {
		c := protocol.LocalClause{Clause: protocol.Clause{Number: strconv.Itoa(i + 1), Text: "prose", Types: []string{"indicator", "malware"},
			To: protocol.Selector{Countries: []string{"JP", "FR"}}}}
		switch i % 5 {
		case 0:
			c.If.Classes = 1 << (1 + i%7)
		case 1:
			c.Unless = &protocol.Conditions{Confidence: i % 60}
		case 2:
			c.To, c.Unless = protocol.Selector{Kinds: []string{"government"}}, &protocol.Conditions{Context: true}
		case 3:
			c.Unless = &protocol.Conditions{Age: protocol.Period{Count: 90 + i, Unit: protocol.Days}, PAP: protocol.PAPAmber}
		case 4:
			c.Marks, c.Starts = []protocol.Marking{protocol.AmberStrict}, testFrom.AddDate(0, 0, i)
		}
		rules.Clauses = append(rules.Clauses, c)
	}
	return rules
}

// BenchmarkLocal is what decisions cost under a hundred rules of the operator, for
// what this member gives to 10 and to 300 parties, and for what it takes.
func BenchmarkLocal(b *testing.B) {
	engine := func(b *testing.B, parties int, local *protocol.LocalRules) (*Engine, *protocol.Agreement) {
		a := large(1, parties, 1000, 100)
		r, err := CompileAgreement(a)
		if err == nil {
			r, err = r.Under(local, member2)
		}
		if err != nil {
			b.Fatal(err)
		}
		e, err := NewEngine(member2, r)
		if err != nil {
			b.Fatal(err)
		}
		return e, a
	}
	s := Subject{Type: "indicator", Marking: protocol.Green, Confidence: 70, Context: true, Modified: testNow.AddDate(0, 0, -10), PAP: protocol.PAPGreen}
	few := &protocol.LocalRules{Clauses: hundredRules().Clauses[:10]}
	for _, rules := range []*protocol.LocalRules{few, hundredRules()} {
		for _, parties := range []int{10, 300} {
			e, a := engine(b, parties, rules)
			about := fmt.Sprintf("%d rules, %d parties", len(rules.Clauses), parties)
			b.Run(about+"/known", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e.Outbound(a.ID, "iocs", member2, s, testNow)
				}
			})
			b.Run(about+"/new", func(b *testing.B) {
				b.ReportAllocs()
				denied := 0
				for n := 0; b.Loop(); n++ {
					denied += len(e.Outbound(a.ID, "iocs", member2, s, either(n)).Denied)
				}
				b.ReportMetric(float64(denied)/float64(b.N), "denied/op")
			})
			b.Run(about+"/taken, new", func(b *testing.B) {
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					e.Inbound(a.ID, "iocs", member3, s, either(n))
				}
			})
		}
	}
	r, err := CompileAgreement(large(1, 300, 1000, 100))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Under(hundredRules(), member2); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestLocalMakesNoGarbage asks each question again: nothing is allocated.
func TestLocalMakesNoGarbage(t *testing.T) {
	r, err := CompileAgreement(alliance(protocol.Clause{Number: "1", Permit: true}))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Under(hundredRules(), member2); err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(member2, r)
	if err != nil {
		t.Fatal(err)
	}
	id, s := r.Agreement().ID, Subject{Type: "indicator", Marking: protocol.Green}
	for name, ask := range map[string]func(){
		"outbound": func() { e.Outbound(id, "iocs", member2, s, testNow) },
		"inbound":  func() { e.Inbound(id, "iocs", member3, s, testNow) },
		"read":     func() { e.Read(Reader{Member: member2}, id, "iocs", member3, s, testNow) },
	} {
		if n := testing.AllocsPerRun(100, ask); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
