package cases

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/policy"
	"entente/protocol"
)

// drawAgreement makes a small agreement at random: what no two clauses or dates
// can do is not in it.
func drawAgreement(t *rapid.T, clauses int) *protocol.Agreement {
	some := func(words ...string) []string {
		return rapid.Custom(func(t *rapid.T) []string {
			return slices.DeleteFunc(slices.Clone(words), func(string) bool { return rapid.IntRange(0, 2).Draw(t, "left out") > 0 })
		}).Draw(t, "words")
	}
	a := &protocol.Agreement{
		ID: protocol.AgreementID{1}, Name: "drawn", Version: 1, Visibility: protocol.Private, From: testFrom, Until: testUntil,
		Parties: []protocol.Party{party("bank", "company"), party("vendor", "vendor"), party("cert", "cert")},
		Topics:  []protocol.Topic{{Name: "one", Default: protocol.Clear}, {Name: "two"}},
	}
	a.Parties[1].Roles, a.Parties[2].Roles = []string{"reader"}, []string{"reader"}
	if rapid.Bool().Draw(t, "public") {
		a.Visibility = protocol.Public
	}
	if rapid.IntRange(0, 3).Draw(t, "basis") == 0 {
		a.LegalBasis.Until = testFrom.AddDate(0, 9, 0)
	}
	moments := []time.Time{{}, {}, {}, testFrom.AddDate(0, 3, 0), testFrom.AddDate(0, 6, 0), testFrom.AddDate(0, 10, 0)}
	for n := range rapid.IntRange(1, clauses).Draw(t, "clauses") {
		c := protocol.Clause{Number: fmt.Sprint(n + 1), Line: n + 1, Text: "x", Permit: rapid.IntRange(0, 2).Draw(t, "permit") > 0, Topics: some("one", "two"), Types: some("note", "tool")}
		if rapid.Bool().Draw(t, "from") {
			c.From = protocol.Selector{Parties: some("bank", "vendor", "cert"), Kinds: some("company", "research")}
		}
		if rapid.Bool().Draw(t, "to") {
			c.To = protocol.Selector{Parties: some("bank", "vendor"), Roles: some("reader")}
		}
		if a.Visibility == protocol.Public && rapid.Bool().Draw(t, "to public") {
			c.To = protocol.Selector{Public: true}
		}
		c.Max = rapid.SampledFrom([]protocol.Marking{0, 0, protocol.Clear, protocol.Amber, protocol.Red}).Draw(t, "max")
		if rapid.IntRange(0, 4).Draw(t, "marks") == 0 {
			c.Marks = []protocol.Marking{protocol.Clear, protocol.Red}[rapid.IntRange(0, 1).Draw(t, "first"):]
		}
		c.Starts, c.Ends = rapid.SampledFrom(moments).Draw(t, "starts"), rapid.SampledFrom(moments).Draw(t, "ends")
		if rapid.IntRange(0, 2).Draw(t, "conditions") == 0 {
			c.If.Classes = rapid.SampledFrom([]protocol.Class{0, protocol.Criminal, protocol.Operational | protocol.Criminal}).Draw(t, "classes")
			c.If.Context, c.If.Confidence = rapid.Bool().Draw(t, "context"), 50*rapid.IntRange(0, 1).Draw(t, "confidence")
		}
		if c.Permit && rapid.IntRange(0, 3).Draw(t, "obligations") == 0 {
			c.Then = &protocol.Obligations{Onward: protocol.OnwardNever}
		}
		a.Clauses = append(a.Clauses, c)
	}
	return a
}

// compiled makes an engine of an agreement, or skips what cannot be one.
func compiled(t *rapid.T, a *protocol.Agreement) *policy.Engine {
	e, err := policy.Compile(protocol.MemberID{}, []*protocol.Agreement{a})
	if err != nil {
		t.Skip(err)
	}
	return e
}

// decisions asks everything of an agreement, at every moment that matters, and
// returns the clauses that decided something.
func decisions(a *protocol.Agreement, e *policy.Engine) map[string]bool {
	out := map[string]bool{}
	readers := append([]protocol.Party{{}}, a.Parties...)
	classes := []protocol.Class{0, protocol.Criminal, protocol.Political, protocol.Criminal | protocol.Operational}
	for _, month := range []int{0, 3, 6, 9, 10} {
		for _, topic := range a.Topics {
			for _, author := range a.Parties {
				for _, typ := range []string{"note", "tool", "malware"} {
					for n := range 5 * len(classes) * 3 {
						s := policy.Subject{Type: typ, Marking: protocol.Marking(n%5 + 1), Classes: classes[n/5%len(classes)], Context: n/20 > 0, Confidence: 60 * (n / 40)}
						for _, reader := range readers {
							out[e.Read(policy.Reader{Member: reader.ID}, a.ID, topic.Name, author.ID, s, testFrom.AddDate(0, month, 0)).Clause] = true
						}
					}
				}
			}
		}
	}
	return out
}

// TestWarningsOfClausesAreTrue asks everything: a clause that is said never to
// decide does not, and among two clauses each that does not is told of.
func TestWarningsOfClausesAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAgreement(t, 4)
		decided := decisions(a, compiled(t, a))
		warnings, err := Advise(a, testFrom)
		if err != nil {
			t.Fatal(err)
		}
		warned := map[string]bool{}
		for _, w := range warnings {
			if !strings.Contains(w.Text, "never decides") {
				continue
			}
			warned[w.Clause] = true
			if decided[w.Clause] {
				t.Errorf("%s, and it does: %+v", w.Text, a.Clauses)
			}
		}
		for _, c := range a.Clauses {
			if len(a.Clauses) <= 2 && c.Then == nil && !decided[c.Number] && !warned[c.Number] {
				t.Errorf("clause %s never decides, and nothing says so: %+v", c.Number, a.Clauses)
			}
		}
	})
}

// TestDraftShowsWhatDecides holds the cases of a draft to pass, and to show each
// clause that decides when they ask.
func TestDraftShowsWhatDecides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAgreement(t, 4)
		e := compiled(t, a)
		text, err := Draft(a)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "  - name:") {
			return // nothing is permitted or forbidden to anybody
		}
		f, err := Parse("drawn", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		report, err := Run(t.Context(), a, Source{File: f})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if report.Failed > 0 {
			t.Errorf("%+v\n%s", report.Cases, text)
		}
		decided := decisions(a, e)
		for _, p := range report.Coverage.Points {
			c := slices.IndexFunc(a.Clauses, func(c protocol.Clause) bool { return c.Number == p.Clause })
			if p.Condition == "" && c >= 0 && decided[p.Clause] && !p.Covered && undated(a) {
				t.Errorf("clause %s decides, and no case shows it: %+v\n%s", p.Clause, a.Clauses, text)
			}
		}
	})
}

func undated(a *protocol.Agreement) bool {
	return !slices.ContainsFunc(a.Clauses, func(c protocol.Clause) bool { return !c.Starts.IsZero() || !c.Ends.IsZero() })
}

// everyForm is an object in every form that clauses tell apart.
func everyForm(typ string, m protocol.Marking, at time.Time) []policy.Subject {
	out := []policy.Subject{{Type: typ, Marking: m}}
	for class := protocol.Class(1); class <= protocol.PersonalData; class <<= 1 {
		out = append(out, policy.Subject{Type: typ, Marking: m, Classes: class})
	}
	for _, s := range slices.Clone(out) {
		for form := 1; form < 8; form++ {
			s.Context, s.Confidence, s.Modified = form&1 != 0, 100*(form>>1&1), time.Time{}
			if form&4 != 0 {
				s.Modified = at
			}
			out = append(out, s)
		}
	}
	return out
}

// TestWhoSaysWhatTheEngineDoes reads the table back: every question must have in
// it the answer that the engine gives.
func TestWhoSaysWhatTheEngineDoes(t *testing.T) {
	at := testFrom.AddDate(0, 4, 0)
	rapid.Check(t, func(t *rapid.T) {
		a := drawAgreement(t, 5)
		e := compiled(t, a)
		table, err := Who(a, at)
		if err != nil {
			t.Fatal(err)
		}
		readers := slices.Clone(a.Parties)
		if a.Visibility == protocol.Public {
			readers = append(readers, protocol.Party{Handle: public})
		}
		for _, topic := range a.Topics {
			for _, reader := range readers {
				i := slices.IndexFunc(table, func(x Access) bool { return x.Topic == topic.Name && slices.Contains(x.Readers, reader.Handle) })
				if i < 0 {
					t.Fatalf("%s is not said to read or not to read %s", reader.Handle, topic.Name)
				}
				for _, author := range a.Parties {
					for _, typ := range []string{"note", "tool", "malware"} {
						for m := protocol.Clear; m <= protocol.AmberStrict && author.ID != reader.ID; m++ {
							may := slices.ContainsFunc(everyForm(typ, m, at), func(s policy.Subject) bool {
								return e.Read(policy.Reader{Member: reader.ID, Remote: true}, a.ID, topic.Name, author.ID, s, at).Outcome == policy.Allow
							})
							if said := granted(table[i].Grants, typ, m, author.Handle); said != may {
								t.Fatalf("%s by %s at %s on %s to %s: the table says %v, the engine %v: %+v", typ, author.Handle, m, topic.Name, reader.Handle, said, may, table[i])
							}
						}
					}
				}
			}
		}
	})
}

// granted reads a list of grants as its comment says.
func granted(grants []Grant, typ string, m protocol.Marking, author string) bool {
	named := slices.ContainsFunc(grants, func(g Grant) bool { return slices.Contains(g.Types, typ) })
	return slices.ContainsFunc(grants, func(g Grant) bool {
		return (slices.Contains(g.Types, typ) || len(g.Types) == 0 && !named) && slices.Contains(g.Markings, m.String()) &&
			(len(g.From) == 0 || slices.Contains(g.From, author))
	})
}
