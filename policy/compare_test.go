package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// twin returns a copy of an agreement that shares no list with it.
func twin(a *protocol.Agreement) *protocol.Agreement {
	c := *a
	c.Version++
	c.Parties, c.Topics, c.Clauses = slices.Clone(a.Parties), slices.Clone(a.Topics), slices.Clone(a.Clauses)
	c.Scores, c.Cuts = slices.Clone(a.Scores), slices.Clone(a.Cuts)
	return &c
}

// pact is an agreement in which every kind of clause has something to lose.
func pact() *protocol.Agreement {
	a := alliance(
		protocol.Clause{Number: "1", Text: "Share.", Permit: true, Topics: []string{"iocs"}, Max: protocol.Amber},
		protocol.Clause{Number: "2", Text: "Reports to analysts.", Permit: true, To: protocol.Selector{Roles: []string{"analyst"}}, Topics: []string{"reports"},
			Then: &protocol.Obligations{Retain: protocol.Period{Count: 30, Unit: protocol.Days}, Onward: protocol.OnwardAsk, Redact: []string{"victims"}}},
		protocol.Clause{Number: "3", Text: "No malware to the vendor.", To: protocol.Selector{Parties: []string{"vendor"}}, Types: []string{"malware"}},
	)
	a.Scores = []protocol.Contribution{{Name: "gives", Objects: 10, Within: protocol.Period{Count: 1, Unit: protocol.Months}, Signers: 1, Entitles: protocol.Period{Count: 30, Unit: protocol.Days}}}
	a.Use = protocol.Use{After: protocol.UseStops, Clients: "Customers."}
	a.Amend = 2
	return a
}

// TestCompareTells holds Compare to what it says about single changes, in words,
// and whether each may let anything newly flow.
func TestCompareTells(t *testing.T) {
	clause := func(n int, change func(*protocol.Clause)) func(*protocol.Agreement) {
		return func(a *protocol.Agreement) { change(&a.Clauses[n]) }
	}
	then := func(change func(*protocol.Obligations)) func(*protocol.Agreement) {
		return clause(1, func(c *protocol.Clause) { o := *c.Then; change(&o); c.Then = &o })
	}
	months := func(n int) protocol.Period { return protocol.Period{Count: n, Unit: protocol.Months} }
	for _, tc := range []struct {
		name   string
		change func(*protocol.Agreement)
		says   string // the only difference; "": not asked
		widens string // in the first reason; "": it does not
	}{
		{"clause text", clause(0, func(c *protocol.Clause) { c.Text = "Share all." }), "clause 1, text: only the wording changed", ""},
		{"title", func(a *protocol.Agreement) { a.Title = "New" }, "title: New (before: none)", ""},
		{"party renamed", func(a *protocol.Agreement) { a.Parties[0].Name = "B." }, "party bank, name: B. (before: none)", ""},
		{"ends later", func(a *protocol.Agreement) { a.Until = testUntil.AddDate(1, 0, 0) }, "ends: 2028-01-01 (before: 2027-01-01)", "in force for longer"},
		{"ends earlier", func(a *protocol.Agreement) { a.Until = testNow }, "ends: 2026-06-01 12:00:00Z (before: 2027-01-01)", ""},
		{"begins earlier", func(a *protocol.Agreement) { a.From = testFrom.AddDate(0, 0, -1) }, "begins: 2025-12-31 (before: 2026-01-01)", "begins earlier, on 2025-12-31"},
		{"legal basis ends", func(a *protocol.Agreement) { a.LegalBasis.Until = testNow }, "legal basis ends: 2026-06-01 12:00:00Z (before: none)", ""},
		{"own use", func(a *protocol.Agreement) { a.Use.After = protocol.UseUntilRetention }, "own use after the end: until-retention (before: stop)", "after the end"},
		{"clients", func(a *protocol.Agreement) { a.Use.Clients = "Anyone." }, "clients: Anyone. (before: Customers.)", "the clients"},
		{"amend", func(a *protocol.Agreement) { a.Amend = 3 }, "signatures needed: 3 of 3 parties (before: 2 of 3 parties)", ""},
		{"who may suspend", func(a *protocol.Agreement) { a.Suspend = &protocol.Selector{Kinds: []string{"cert"}} }, "who may suspend: kinds cert (before: none)", ""},
		{"suspended", func(a *protocol.Agreement) { a.Parties[2].Suspended = true }, "party cert, suspended: yes (before: no)", ""},
		{"the denied one suspended", func(a *protocol.Agreement) { a.Parties[1].Suspended = true }, "party vendor, suspended: yes (before: no)", "vendor no longer reads topic iocs"},
		{"country", func(a *protocol.Agreement) { a.Parties[0].Country = "FR" }, "party bank, country: FR (before: DE)", ""},
		{"role", func(a *protocol.Agreement) { a.Parties[0].Roles = []string{"analyst"} }, "party bank, roles: analyst (before: none)", "clause 2 permits more than it did (to)"},
		{"handle", func(a *protocol.Agreement) { a.Parties[0].Handle = "banque" }, "party banque, handle: banque (before: bank)", ""},
		{"root key", func(a *protocol.Agreement) { a.Parties[0].Root = protocol.PublicKey{1} }, "party bank, root key: " + protocol.PublicKey{1}.String() + " (before: none)", "bank has another root key"},
		{"default lowered", func(a *protocol.Agreement) { a.Topics[0].Default = protocol.Clear }, "topic iocs, default marking: TLP:CLEAR (before: TLP:GREEN)", ""},
		{"default raised beyond", func(a *protocol.Agreement) { a.Topics[0].Default = protocol.AmberStrict }, "topic iocs, default marking: TLP:AMBER+STRICT (before: TLP:GREEN)", ""},
		{"default where none was", func(a *protocol.Agreement) { a.Topics[1].Default = protocol.Amber }, "topic reports, default marking: TLP:AMBER (before: none)", "unmarked objects may go on topic reports, as TLP:AMBER"},
		{"default class", func(a *protocol.Agreement) { a.Topics[0].Class = protocol.Criminal }, "topic iocs, default class: criminal (before: none)", ""},
		{"topic described", func(a *protocol.Agreement) { a.Topics[0].Description = "x" }, "topic iocs, description: x (before: none)", ""},
		{"marking raised", clause(0, func(c *protocol.Clause) { c.Max = protocol.AmberStrict }), "clause 1, max-marking: TLP:AMBER+STRICT (before: TLP:AMBER)", "clause 1 permits more than it did (markings)"},
		{"marking lowered", clause(0, func(c *protocol.Clause) { c.Max = protocol.Green }), "clause 1, max-marking: TLP:GREEN (before: TLP:AMBER)", ""},
		{"any topic", clause(0, func(c *protocol.Clause) { c.Topics = nil }), "clause 1, topics: any (before: iocs)", "clause 1 permits more than it did (topics)"},
		{"one type", clause(0, func(c *protocol.Clause) { c.Types = []string{"url", "file"} }), "clause 1, types: file url (before: any)", ""},
		{"fewer readers", clause(0, func(c *protocol.Clause) { c.To.Kinds = []string{"company"} }), "clause 1, to: kinds company (before: anyone)", ""},
		{"without the denied one", clause(0, func(c *protocol.Clause) { c.To.Countries = []string{"DE"} }), "clause 1, to: countries DE (before: anyone)", "vendor no longer reads topic iocs"},
		{"ends sooner", clause(0, func(c *protocol.Clause) { c.Ends = testNow }), "clause 1, ends: 2026-06-01 12:00:00Z (before: none)", ""},
		{"forbid narrowed", clause(2, func(c *protocol.Clause) { c.Max = protocol.Green }), "clause 3, max-marking: TLP:GREEN (before: any)", "what clause 3 forbade"},
		{"forbid widened", clause(2, func(c *protocol.Clause) { c.Types = nil; c.Types = []string{"malware", "tool"} }), "clause 3, types: malware tool (before: malware)", ""},
		{"forbid everywhere", clause(2, func(c *protocol.Clause) { c.Everywhere = true }), "clause 3, everywhere: yes (before: no)", ""},
		{"another class", clause(0, func(c *protocol.Clause) { c.If.Classes = protocol.Operational | protocol.Criminal }), "clause 1, classes: operational and criminal (before: none)", "clause 1 permits more than it did (classes)"},
		{"the class it has", clause(0, func(c *protocol.Clause) { c.If.Classes = protocol.Operational }), "clause 1, classes: operational (before: none)", ""},
		{"purpose asked", clause(0, func(c *protocol.Clause) { c.If.Purposes = []string{"oversight"} }), "clause 1, purposes: oversight (before: none)", ""},
		{"context asked", clause(0, func(c *protocol.Clause) { c.If.Context = true }), "clause 1, context: yes (before: no)", ""},
		{"confidence asked", clause(0, func(c *protocol.Clause) { c.If.Confidence = 50 }), "clause 1, confidence: 50 (before: none)", ""},
		{"age asked", clause(0, func(c *protocol.Clause) { c.If.Age = months(1) }), "clause 1, age: 1 month (before: none)", ""},
		{"PAP asked", clause(0, func(c *protocol.Clause) { c.If.PAP = protocol.PAPGreen }), "clause 1, max-pap: PAP:GREEN (before: any)", ""},
		{"contribution asked", clause(0, func(c *protocol.Clause) { c.If.Contribution = "gives" }), "clause 1, contribution: gives (before: none)", "vendor no longer reads topic iocs, or not always"},
		{"survives", clause(0, func(c *protocol.Clause) { c.Survives = true }), "clause 1, survives: yes (before: no)", "clause 1 permits more than it did (survives)"},
		{"kept longer", then(func(o *protocol.Obligations) { o.Retain = months(1) }), "clause 2, retain: 1 month (before: 30 days)", "retain"},
		{"kept shorter", then(func(o *protocol.Obligations) { o.Retain.Count = 29 }), "clause 2, retain: 29 days (before: 30 days)", ""},
		{"kept for ever", then(func(o *protocol.Obligations) { o.Retain = protocol.Period{} }), "clause 2, retain: none (before: 30 days)", "retain"},
		{"onward any", then(func(o *protocol.Obligations) { o.Onward = protocol.OnwardAny }), "clause 2, onward: any (before: ask)", "onward"},
		{"onward unsaid", then(func(o *protocol.Obligations) { o.Onward = protocol.OnwardOpen }), "clause 2, onward: none (before: ask)", "onward"},
		{"onward never", then(func(o *protocol.Obligations) { o.Onward = protocol.OnwardNever }), "clause 2, onward: never (before: ask)", ""},
		{"redacted less", then(func(o *protocol.Obligations) { o.Redact = nil }), "clause 2, redact: none (before: victims)", "redact"},
		{"redacted more", then(func(o *protocol.Obligations) { o.Redact = []string{"users", "victims"} }), "clause 2, redact: users victims (before: victims)", ""},
		{"embargo", then(func(o *protocol.Obligations) { o.Embargo = testNow }), "clause 2, embargo: 2026-06-01 12:00:00Z (before: none)", ""},
		{"contribution easier", func(a *protocol.Agreement) { a.Scores[0].Objects = 9 }, "contribution gives, objects: 9 (before: 10)", "contribution gives is easier"},
		{"contribution harder", func(a *protocol.Agreement) { a.Scores[0].Objects = 11 }, "contribution gives, objects: 11 (before: 10)", ""},
		{"clause gone", func(a *protocol.Agreement) { a.Clauses = a.Clauses[1:] }, "clause 1 removed: \"Share.\"; effect permit; topics iocs; max-marking TLP:AMBER", ""},
		{"forbid gone", func(a *protocol.Agreement) { a.Clauses = a.Clauses[:2] }, "clause 3 removed: \"No malware to the vendor.\"; effect forbid; to parties vendor; types malware", "what clause 3 forbade"},
		{"permit added", func(a *protocol.Agreement) {
			a.Clauses = append(a.Clauses, protocol.Clause{Number: "4", Text: "All.", Permit: true})
		}, "clause 4 added: \"All.\"; effect permit", "clause 4 permits what no single clause permitted"},
		{"forbid added", func(a *protocol.Agreement) {
			a.Clauses = append(a.Clauses, protocol.Clause{Number: "4", Text: "No tools.", Types: []string{"tool"}})
		}, "clause 4 added: \"No tools.\"; effect forbid; types tool", ""},
		{"renumbered", clause(2, func(c *protocol.Clause) { c.Number = "9" }), "clause 9, number: 9 (before: 3)", ""},
		{"topic added", func(a *protocol.Agreement) { a.Topics = append(a.Topics, protocol.Topic{Name: "more"}) }, "topic more added", ""},
		{"topic added that a clause speaks of", func(a *protocol.Agreement) {
			a.Clauses[0].Topics = nil
			a.Topics = append(a.Topics, protocol.Topic{Name: "more"})
		}, "", "topic more is new"},
		{"topic gone", func(a *protocol.Agreement) { a.Topics = a.Topics[:1] }, "topic reports removed", ""},
		{"cut", func(a *protocol.Agreement) { a.Cuts = []protocol.Cut{{Member: member("bank")}} }, "cut 000000000000 added: member " + member("bank").String() + "; closed after entry 0; head " + protocol.Hash{}.String(), ""},
		{"a stranger's cut", func(a *protocol.Agreement) { a.Cuts = []protocol.Cut{{Member: member("gone")}} }, "cut 000000000000 added: member " + member("gone").String() + "; closed after entry 0; head " + protocol.Hash{}.String(), "no party before"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old := pact()
			next := twin(old)
			tc.change(next)
			d := Compare(old, next)
			if tc.says != "" && (len(d.List) != 1 || d.List[0].String() != tc.says) {
				t.Errorf("it says %v\nnot      %q", d.List, tc.says)
			}
			if d.Widens() != (tc.widens != "") || (d.Widens() && !strings.Contains(d.Widening[0].Text, tc.widens)) {
				t.Errorf("widening %v, not %q", d.Widening, tc.widens)
			}
		})
	}
}

// TestCompareObligations: all obligations of the permits that speak of an object
// hold together, so one that goes loosens the others.
func TestCompareObligations(t *testing.T) {
	keep := func(days int) *protocol.Obligations {
		return &protocol.Obligations{Retain: protocol.Period{Count: days, Unit: protocol.Days}}
	}
	for _, tc := range []struct {
		name   string
		change func(*protocol.Agreement)
		widens bool
	}{
		{"the stricter goes", func(a *protocol.Agreement) { a.Clauses = a.Clauses[:1] }, true},
		{"the stricter speaks of less", func(a *protocol.Agreement) { a.Clauses[1].Types = []string{"url"} }, true},
		{"both go", func(a *protocol.Agreement) { a.Clauses = a.Clauses[2:] }, false},
		{"the looser goes", func(a *protocol.Agreement) { a.Clauses = a.Clauses[1:] }, false},
		{"the looser speaks of something else", func(a *protocol.Agreement) { a.Clauses = a.Clauses[:1]; a.Clauses[0].Topics = []string{"reports"} }, true},
		{"the looser takes over", func(a *protocol.Agreement) { a.Clauses = a.Clauses[:1]; a.Clauses[0].Then = keep(30) }, false},
		{"a third comes", func(a *protocol.Agreement) {
			a.Clauses = append(a.Clauses, protocol.Clause{Number: "4", Permit: true, Topics: []string{"iocs"}, Then: keep(7)})
		}, false},
	} {
		old := alliance(
			protocol.Clause{Number: "1", Permit: true, Topics: []string{"iocs"}},
			protocol.Clause{Number: "2", Permit: true, Topics: []string{"iocs"}, Then: keep(30)},
			protocol.Clause{Number: "3", Permit: true, Topics: []string{"reports"}, Then: keep(30)},
		)
		next := twin(old)
		tc.change(next)
		if d := Compare(old, next); d.Widens() != tc.widens {
			t.Errorf("%s: %v", tc.name, d.Widening)
		}
	}
}

// TestShorter: months are as long as the calendar has them.
func TestShorter(t *testing.T) {
	period := func(s string) protocol.Period {
		if s == "" {
			return protocol.Period{}
		}
		p, err := protocol.ParsePeriod(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"", "", true}, {"1 day", "", true}, {"", "1 day", false}, {"28 days", "1 month", true}, {"30 days", "1 month", false},
		{"1 month", "30 days", false}, {"1 month", "31 days", true}, {"1 year", "365 days", false}, {"1 year", "366 days", true},
		{"24 hours", "1 day", true}, {"2 weeks", "13 days", false}, {"90 minutes", "1 hour", false}, {"3 months", "2 months", false},
	} {
		if got := narrowerSpan(period(tc.a), period(tc.b)); got != tc.want {
			t.Errorf("%q no longer than %q: %v", tc.a, tc.b, got)
		}
	}
}

// TestCompareParties: who comes and goes is found by id.
func TestCompareParties(t *testing.T) {
	old := pact()
	next := twin(old)
	next.Parties = append(next.Parties[:2:2], protocol.Party{Handle: "cert", ID: member("other"), Kind: "cert"})
	d := Compare(old, next)
	var says []string
	for _, x := range d.List {
		says = append(says, x.String())
	}
	want := []string{"party cert added: kind cert", "party cert removed: kind cert; country DE; roles analyst liaison"}
	if !slices.Equal(says, want) || len(d.Widening) == 0 || d.Widening[0].Text != "cert is new" {
		t.Errorf("%q, %v", says, d.Widening)
	}
	if d := Compare(nil, old); !d.Widens() || d.Old != 0 || d.New != 3 || len(d.List) == 0 {
		t.Errorf("a first version: %+v", d)
	}
	// A clause that keeps one class from a party takes no topic from it; one that
	// keeps everything does, also where the first names the same party.
	partly := twin(old)
	partly.Clauses = append(partly.Clauses, protocol.Clause{Number: "4", Text: "Nothing criminal to the vendor.",
		To: protocol.Selector{Parties: []string{"vendor"}}, If: protocol.Conditions{Classes: protocol.Criminal}})
	wholly := twin(partly)
	wholly.Clauses = append(wholly.Clauses, protocol.Clause{Number: "5", Text: "Nothing to the vendor.", To: protocol.Selector{Parties: []string{"vendor"}}})
	if d := Compare(partly, wholly); !d.Widens() {
		t.Errorf("what was kept off the topic for the vendor's sake may go to the others: %s", differences(d))
	}
	if d := Compare(old, twin(old)); d.Widens() || len(d.List) != 0 {
		t.Errorf("the same again: %+v", d)
	}
}

// mutate changes one thing in an agreement.
func mutate(t *rapid.T, a *protocol.Agreement, other *protocol.Agreement) {
	some := func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) }
	what := rapid.IntRange(0, 13).Draw(t, "what")
	if len(a.Clauses) == 0 && what < 8 {
		what = 8
	}
	switch what {
	case 0, 1:
		at := some("gone", len(a.Clauses))
		a.Clauses = slices.Delete(a.Clauses, at, at+1)
	case 2, 3, 4, 5, 6, 7:
		c := &a.Clauses[some("clause", len(a.Clauses))]
		switch what {
		case 2:
			c.From = drawSelector(t, "from")
		case 3:
			c.To = drawSelector(t, "to")
		case 4:
			c.Topics = drawSome(t, "topics", "iocs", "reports")
		case 5:
			c.Types = drawSome(t, "types", "indicator", "ipv4-addr", "note")
		case 6:
			c.Max, c.Marks = protocol.Marking(rapid.IntRange(0, 5).Draw(t, "max")), nil
		case 7:
			if c.Ends = drawMoment(t, "ends"); !c.Ends.IsZero() && !c.Starts.Before(c.Ends) {
				c.Ends = time.Time{}
			}
		}
	case 8, 9:
		if len(other.Clauses) > 0 {
			c := other.Clauses[some("added", len(other.Clauses))]
			if c.Number = "9" + strconv.Itoa(len(a.Clauses)); c.To.Public && a.Visibility != protocol.Public {
				c.To = protocol.Selector{}
			}
			a.Clauses = append(a.Clauses, c)
		}
	case 10:
		p := &a.Parties[some("party", len(a.Parties))]
		q := other.Parties[some("like", len(other.Parties))]
		p.Kind, p.Country, p.Roles = q.Kind, q.Country, q.Roles
	case 11:
		expel(a, some("expelled", len(a.Parties)))
	case 12:
		a.LegalBasis.Until = drawMoment(t, "basis")
	case 13:
		at := some("topic", len(a.Topics))
		a.Topics[at].Default = other.Topics[at].Default
		if a.Visibility == protocol.Public {
			a.Topics[at].Default = min(a.Topics[at].Default, protocol.Clear)
		}
	}
}

// expel takes a party out, with a cut, and out of the clauses that name it.
func expel(a *protocol.Agreement, at int) {
	if len(a.Parties) < 2 {
		return
	}
	p := a.Parties[at]
	a.Parties = slices.Delete(a.Parties, at, at+1)
	a.Cuts = append(a.Cuts, protocol.Cut{Member: p.ID})
	names := func(s protocol.Selector) bool { return slices.Contains(s.Parties, p.Handle) }
	a.Clauses = slices.DeleteFunc(a.Clauses, func(c protocol.Clause) bool { return names(c.From) || names(c.To) })
}

// TestCompareFindsAllWidening: whatever question finds that something may flow to
// someone under the new version that may not under the old, Compare said so.
func TestCompareFindsAllWidening(t *testing.T) {
	var narrow, wide, gains int
	rapid.Check(t, func(t *rapid.T) {
		old, other := drawAgreement(t), drawAgreement(t)
		next := twin(old)
		for range rapid.IntRange(1, 3).Draw(t, "mutations") {
			mutate(t, next, other)
		}
		d := Compare(old, next)
		if d.Widens() {
			wide++
		} else {
			narrow++
		}
		entitled := drawFacts(t).Entitled
		for range 120 {
			q := drawQuestion(t)
			was, err := newSide(old, entitled, q.now)
			if err != nil {
				t.Skip("a mutation may name what is gone:", err)
			}
			is, err := newSide(next, entitledBy(old, next, entitled), q.now)
			if err != nil {
				t.Skip("a mutation may name what is gone:", err)
			}
			r := &Replay{old: was, new: is, handles: map[protocol.MemberID]string{}, rows: map[flowKey]*Flow{}, memo: map[sameFate]*fate{}}
			q.subject.Header, q.subject.Version = 0, 0
			f := r.ask(asks{true, true, true}.fate(Held{Topic: q.topic, Author: q.author, Subject: q.subject}))
			if f.gain {
				gains++
			}
			if f.gain && !d.Widens() {
				t.Fatalf("%+v on %s by %s at %s newly flows: %s\n%s", q.subject, q.topic, q.author.Short(), q.now, say(r), differences(d))
			}
		}
	})
	if testing.Short() {
		t.Skip("a short run draws too little for its proportions to mean anything")
	}
	if narrow < 10 || wide < 10 || gains < 10 {
		t.Errorf("the draw is lopsided: %d narrow, %d wide, %d gains", narrow, wide, gains)
	}
	t.Logf("%d narrow, %d wide, %d gains", narrow, wide, gains)
}

func differences(d Differences) string {
	var b strings.Builder
	for _, x := range d.List {
		fmt.Fprintln(&b, x)
	}
	return b.String()
}

func say(r *Replay) string {
	var out []string
	for k := range r.rows {
		out = append(out, fmt.Sprintf("%s to %s on %s by %s %s", k.kind, k.reader.Short(), k.topic, k.layer, k.clause))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// BenchmarkCompare compares versions that differ in every other clause: one of
// three hundred parties, and the largest that a document can be.
func BenchmarkCompare(b *testing.B) {
	for _, size := range [][3]int{{300, 1000, 100}, {1000, 5000, 200}} {
		old := large(1, size[0], size[1], size[2])
		next := twin(old)
		for i := range next.Clauses {
			if i%2 == 0 {
				next.Clauses[i].Max, next.Clauses[i].Marks = protocol.Red, nil
			}
		}
		for i := range 10_000 {
			if size[0] == 1000 {
				next.Cuts = append(next.Cuts, protocol.Cut{Member: member(fmt.Sprint("gone", i))})
				old.Cuts = next.Cuts
			}
		}
		b.Run(fmt.Sprintf("%d parties %d clauses", size[0], size[1]), func(b *testing.B) {
			for b.Loop() {
				if !Compare(old, next).Widens() {
					b.Fatal("it does not widen")
				}
			}
		})
	}
}
