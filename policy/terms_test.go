package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// TestMonths holds the two ways of counting months to one another, and to those of
// the documents.
func TestMonths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := time.UnixMicro(rapid.Int64Range(-1e15, 2e17).Draw(t, "from")).UTC()
		if rapid.Bool().Draw(t, "end of month") {
			from = time.Date(from.Year(), from.Month()+1, 0, 23, 59, 59, 999999000, time.UTC)
		}
		n := rapid.IntRange(1, 400).Draw(t, "months")
		want := protocol.Period{Count: n, Unit: protocol.Months}.After(from).UnixMicro()
		if got := monthsAfter(from, n); got != want {
			t.Fatalf("%v and %d months: %v, want %v", from, n, time.UnixMicro(got).UTC(), time.UnixMicro(want).UTC())
		}
		for shift := int64(-1); shift <= 1; shift++ {
			k := monthsBetween(from, want+shift)
			if monthsAfter(from, k) > want+shift || monthsAfter(from, k+1) <= want+shift {
				t.Fatalf("%v to %v: %d months", from, time.UnixMicro(want+shift).UTC(), k)
			}
		}
		if k := monthsBetween(from, from.UnixMicro()-1); k >= 0 {
			t.Fatalf("before %v: %d months", from, k)
		}
	})
}

// TestDuties holds combining to its laws: it takes the strictest whatever the
// order, it never loosens, and it makes nothing of what adds nothing.
func TestDuties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := combine(nil, drawObligations(t)), combine(nil, drawObligations(t)), combine(nil, drawObligations(t))
		ab, ba := combine(a, b), combine(b, a)
		if DutiesText(ab) != DutiesText(ba) {
			t.Fatalf("%s\n%s", DutiesText(ab), DutiesText(ba))
		}
		if one, two := combine(ab, c), combine(a, combine(b, c)); DutiesText(one) != DutiesText(two) {
			t.Fatalf("%s\n%s", DutiesText(one), DutiesText(two))
		}
		if combine(ab, a) != ab || combine(ab, b) != ab || combine(a, nil) != a || combine(a, a) != a {
			t.Fatalf("%s made anew", DutiesText(ab))
		}
		p := newPool()
		one, two := p.keep(ab), p.keep(ba)
		if one != two || p.join(a, b) != p.join(b, a) || DutiesText(p.join(a, b)) != DutiesText(ab) || p.join(nil, one) != one || p.join(one, nil) != one {
			t.Fatal("the pool has two copies")
		}
	})
	if combine(nil, &protocol.Obligations{}) != nil || combine(nil, nil) != nil {
		t.Error("no obligation is one")
	}
	odd := combine(nil, &protocol.Obligations{Licence: "1 day} {0 0} must"})
	if newPool().keep(odd).Licence != "1 day} {0 0} must" {
		t.Error("the licence is not the licence")
	}
}

// TestFactsAreApart gives facts to rules: those without them go on as they were.
func TestFactsAreApart(t *testing.T) {
	r, err := CompileAgreement(alliance(protocol.Clause{Number: "1", Permit: true, Text: "all"}))
	if err != nil {
		t.Fatal(err)
	}
	suspended := map[protocol.MemberID]time.Time{member2: testUntil, member("stranger"): testUntil}
	with := r.With(Facts{Suspended: suspended, Entitled: map[string]map[protocol.MemberID]time.Time{"unknown": {member2: testUntil}}})
	delete(suspended, member2)
	s := Subject{Type: "tool", Marking: protocol.Green}
	for _, want := range []struct {
		rules   *Rules
		readers int
	}{{with, 2}, {r, 3}, {with, 2}} {
		e, err := NewEngine(member("bank"), want.rules)
		if err != nil {
			t.Fatal(err)
		}
		if v := e.Outbound(protocol.AgreementID{1}, "iocs", member("bank"), s, testNow); v.Outcome != Allow || len(v.Readers) != want.readers {
			t.Errorf("%+v, want %d readers", v, want.readers)
		}
	}
}
