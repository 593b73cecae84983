package policy

import (
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"entente/protocol"
)

// TestExplainAgrees holds the trail to the decisions: for every party the step
// that decides is exactly one, of the decision's layer and clause, and no step
// before it in its layer had to decide otherwise.
func TestExplainAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, origin := drawAgreement(t), drawAgreement(t)
		origin.ID = protocol.AgreementID{2}
		e := compileDrawn(t, member("bank"), drawFacts(t), a, origin)
		for range 10 {
			q := drawQuestion(t)
			if rapid.Bool().Draw(t, "origin") {
				q.subject.Origins = []Origin{{origin.ID, "iocs", member("bank"), q.subject}}
			}
			x := e.ExplainTo(a.ID, q.topic, q.author, q.subject, q.now, Reader{Member: member("bank"), Purpose: q.purpose})
			for _, r := range x.Readers {
				checkTrail(t, r)
			}
			x = e.Explain(a.ID, q.topic, q.author, q.subject, q.now)
			if want := len(a.Parties); len(x.Readers) != 0 && a.Visibility == protocol.Private && len(x.Readers) != want {
				t.Fatalf("%d readers, want %d", len(x.Readers), want)
			}
			for _, r := range x.Readers {
				if got := e.Read(r.As, a.ID, q.topic, q.author, q.subject, q.now); got != r.Decision {
					t.Fatalf("explains %+v, and Read says %+v", r.Decision, got)
				}
				checkTrail(t, r)
			}
			if x.String() == "" {
				t.Fatal("no text")
			}
		}
	})
}

func checkTrail(t *rapid.T, r ReaderTrail) {
	var decides []Step
	no, matched := false, false // some rule said no; some clause permitted
	for _, s := range r.Steps {
		if s.Decides {
			decides = append(decides, s)
		}
		no = no || s.Match && s.Against
		matched = matched || s.Match && !s.Against && s.Clause != ""
	}
	if len(decides) != 1 || decides[0].Layer != r.Decision.Layer || decides[0].Clause != r.Decision.Clause {
		t.Fatalf("%+v\ndecided by %+v", r.Decision, decides)
	}
	own := r.Decision.Text == textOwn || r.Decision.Text == textOpen
	if allowed := !no && matched || own; allowed != (r.Decision.Outcome == Allow) {
		t.Fatalf("the steps come to allowed=%v, the decision is %+v\n%+v", allowed, r.Decision, r.Steps)
	}
}

func TestExplainBounds(t *testing.T) {
	a := large(1, 300, 1000, 1)
	e := compileOne(t, "bank", a)
	s := Subject{Type: "indicator", Marking: protocol.Green}
	x := e.Explain(a.ID, "iocs", member2, s, testNow)
	steps, omitted := 0, 0
	for _, r := range x.Readers {
		steps += len(r.Steps)
		omitted += r.Omitted
	}
	if len(x.Readers) != 300 || omitted == 0 || !strings.Contains(x.String(), "clauses that do not speak of this") {
		t.Errorf("%d readers, %d steps, %d left out", len(x.Readers), steps, omitted)
	}
	if x = e.Explain(a.ID, "iocs", member2, s, testNow, member3); len(x.Readers) != 1 || x.Readers[0].Omitted != 0 {
		t.Errorf("for one reader: %d readers", len(x.Readers))
	}
	if x = e.Explain(protocol.AgreementID{9}, "iocs", member2, s, testNow); x.Verdict.Outcome != Refuse || len(x.Readers) != 0 {
		t.Errorf("unknown agreement: %+v", x)
	}
}

// TestWords holds what decisions say to audit rows, operators and strangers.
func TestWords(t *testing.T) {
	e := compileOne(t, "bank", alliance(
		protocol.Clause{Number: "4.2", Text: "Nothing goes to the CERT.", To: protocol.Selector{Kinds: []string{"cert"}}, Types: []string{"note"}},
		protocol.Clause{Number: "1", Text: "All to all.", Permit: true}))
	ask := func(typ string) Verdict {
		return e.Outbound(protocol.AgreementID{1}, "iocs", member("bank"), Subject{Type: typ}, testNow)
	}
	v := ask("note")
	r := v.Reason()
	if r.Layer != "agreement" || r.Clause != "4.2" || len(r.Parties) != 1 || r.Parties[0] != member("cert") {
		t.Errorf("reason %+v", r)
	}
	err := v.Err("publish")
	if protocol.KindOf(err) != protocol.Refused || protocol.HintOf(err) == "" ||
		err.Error() != "publish: withheld by agreement, clause 4.2: Nothing goes to the CERT." {
		t.Errorf("error %v", err)
	}
	if v.Outward() != "not available" || ask("tool").Outward() != "available" || ask("tool").Err("publish") != nil {
		t.Errorf("outward %q, %q", v.Outward(), ask("tool").Outward())
	}
}

// TestRulesServeManyEngines reuses compiled rules and asks from many sides at
// once; with the race detector this is the proof that the cache needs no lock.
func TestRulesServeManyEngines(t *testing.T) {
	rules, err := CompileAgreement(large(1, 20, 100, 2))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := NewEngine(member("bank"), rules)
	want := first.Outbound(protocol.AgreementID{1}, "iocs", member2, Subject{Type: "tool", Marking: protocol.Green}, testNow)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			e, err := NewEngine(member("cert"), rules)
			if err != nil {
				t.Error(err)
				return
			}
			for k := range 500 {
				s := Subject{Type: "tool", Marking: protocol.Marking(1 + (n+k)%4)}
				v := e.Outbound(protocol.AgreementID{1}, "iocs", member2, s, either(k))
				if s.Marking == protocol.Green && k%2 == 0 && (v.Decision != want.Decision || len(v.Readers) != len(want.Readers)) {
					t.Errorf("got %+v, want %+v", v, want)
				}
			}
		})
	}
	wg.Wait()
	if first.Rules(protocol.AgreementID{1}) != rules || first.Rules(protocol.AgreementID{2}) != nil || rules.Agreement().Name != "large1" {
		t.Error("an engine does not know its rules")
	}
}
