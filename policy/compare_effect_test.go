package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// effectText is an effect for people, a line a flow.
func effectText(e Effect) string {
	var b strings.Builder
	for _, f := range e.Flows {
		fmt.Fprintf(&b, "%s %s to %s by %s %s (%s): %d", f.Kind, f.Topic, f.Handle, f.Layer, f.Clause, f.Text, f.Count)
		for _, h := range f.First {
			fmt.Fprintf(&b, " %s", h.ID)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// feed returns a replay that was fed with six indicators and a malware of each
// level by the bank, and as many by the cert.
func feed(t *testing.T, old, next *protocol.Agreement) *Replay {
	t.Helper()
	r, err := NewReplay(old, next, nil, testNow)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for _, author := range []string{"bank", "cert"} {
		for _, m := range []protocol.Marking{protocol.Green, protocol.Amber} {
			for i := range 7 {
				at++
				typ := "indicator"
				if i == 6 {
					typ = "malware"
				}
				r.Add(Held{ID: fmt.Sprint(typ, at), Topic: "iocs", Author: member(author), Subject: Subject{Type: typ, Marking: m}, Added: at})
			}
		}
	}
	return r
}

// TestReplay holds the effect on objects of single changes to what a person would
// say it is.
func TestReplay(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*protocol.Agreement)
		want   string
	}{
		{"nothing", func(a *protocol.Agreement) { a.Clauses[0].Text = "Give." }, ""},
		{"a party comes in", func(a *protocol.Agreement) {
			a.Parties = append(a.Parties, protocol.Party{Handle: "police", ID: member("police"), Kind: "law-enforcement"})
		}, "flows iocs to police by agreement 1 (Share.): 28 indicator1 indicator2 indicator3 indicator4 indicator5\n"},
		{"less is permitted", func(a *protocol.Agreement) { a.Clauses[0].Max = protocol.Green }, `
stops iocs to bank by agreement  (no clause permits TLP:AMBER from cert on topic iocs to this reader): 7 indicator22 indicator23 indicator24 indicator25 indicator26
stops iocs to cert by agreement  (no clause permits TLP:AMBER from bank on topic iocs to this reader): 7 indicator8 indicator9 indicator10 indicator11 indicator12
stops iocs to vendor by agreement  (no clause permits TLP:AMBER from bank on topic iocs to this reader): 12 indicator8 indicator9 indicator10 indicator11 indicator12
`},
		{"a party is forbidden more", func(a *protocol.Agreement) {
			a.Clauses = append(a.Clauses, protocol.Clause{Number: "4", Text: "No AMBER to the vendor.", To: protocol.Selector{Parties: []string{"vendor"}}, Marks: []protocol.Marking{protocol.Amber}})
		}, `
stops iocs to vendor by agreement 4 (No AMBER to the vendor.): 12 indicator8 indicator9 indicator10 indicator11 indicator12
blocked iocs to vendor by agreement 4 (No AMBER to the vendor.): 12 indicator8 indicator9 indicator10 indicator11 indicator12
`},
		{"the denied party goes", func(a *protocol.Agreement) { expel(a, 1) }, `
freed iocs to vendor by agreement 3 (No malware to the vendor.): 4 malware7 malware14 malware21 malware28
stops iocs to vendor by agreement  (the reader is no party to the agreement, which is private): 24 indicator1 indicator2 indicator3 indicator4 indicator5
`},
		{"an author goes", func(a *protocol.Agreement) { expel(a, 0) }, `
stops iocs to bank by agreement  (the reader is no party to the agreement, which is private): 14 indicator15 indicator16 indicator17 indicator18 indicator19
`},
		{"it begins later", func(a *protocol.Agreement) { a.From = testUntil.AddDate(0, -1, 0) }, ""},
		{"the legal basis has lapsed", func(a *protocol.Agreement) { a.LegalBasis.Until = testNow }, `
stops iocs to bank by agreement  (the legal basis of the agreement lapsed on 2026-06-01 12:00:00Z): 14 indicator15 indicator16 indicator17 indicator18 indicator19
stops iocs to cert by agreement  (the legal basis of the agreement lapsed on 2026-06-01 12:00:00Z): 14 indicator1 indicator2 indicator3 indicator4 indicator5
stops iocs to vendor by agreement  (the legal basis of the agreement lapsed on 2026-06-01 12:00:00Z): 24 indicator1 indicator2 indicator3 indicator4 indicator5
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old := pact()
			old.Clauses[1].Then = nil
			next := twin(old)
			tc.change(next)
			e := feed(t, old, next).Effect()
			if got := effectText(e); got != strings.TrimPrefix(tc.want, "\n") || e.Objects != 28 {
				t.Errorf("of %d objects:\n%s\nnot\n%s", e.Objects, got, tc.want)
			}
		})
	}
}

// TestReplayFirst: nothing flows under no version, nor under one that means
// nothing here; a new one that means nothing is an error.
func TestReplayFirst(t *testing.T) {
	next := pact()
	next.Clauses[1].Then = nil
	broken := twin(next)
	broken.Clauses[0].Topics = []string{"nowhere"}
	for _, old := range []*protocol.Agreement{nil, broken} {
		e := feed(t, old, next).Effect()
		if e.Gaining != 28 || e.Losing != 0 || len(e.Flows) != 3 {
			t.Errorf("from %v: %s", old, effectText(e))
		}
	}
	if _, err := NewReplay(next, broken, nil, testNow); protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a version that cannot be compiled: %v", err)
	}
}

// TestReplayForks: however objects are parted among forks, and in whatever order
// they come, the effect is the same.
func TestReplayForks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, next := drawAgreement(t), drawAgreement(t)
		whole, err := NewReplay(old, next, nil, testNow)
		if err != nil {
			t.Fatal(err)
		}
		parts := []*Replay{whole.Fork(), whole.Fork(), whole.Fork()}
		count := rapid.IntRange(0, 60).Draw(t, "objects")
		for _, i := range rapid.Permutation(indexes(count)).Draw(t, "order") {
			q := drawQuestion(t)
			h := Held{ID: fmt.Sprint(i), Topic: q.topic, Author: q.author, Subject: q.subject, Added: int64(i)}
			whole.Add(h)
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Add(h)
		}
		joined := whole.Fork()
		for _, p := range parts {
			joined.Merge(p)
		}
		if a, b := whole.Effect(), joined.Effect(); !reflect.DeepEqual(a, b) {
			t.Errorf("whole:\n%s\nin parts:\n%s", effectText(a), effectText(b))
		}
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// TestReplayForgets: objects that all differ do not make it remember them all,
// and it counts them right.
func TestReplayForgets(t *testing.T) {
	old := pact()
	old.Clauses[1].Then = nil
	next := twin(old)
	next.Clauses = nil
	r, err := NewReplay(old, next, nil, testNow)
	if err != nil {
		t.Fatal(err)
	}
	const count = memoMost
	for i := range count {
		r.Add(Held{ID: fmt.Sprint(i), Topic: "iocs", Author: member("bank"), Subject: Subject{Type: fmt.Sprint("x-", i), Marking: protocol.Green}, Added: int64(i)})
	}
	e := r.Effect()
	if e.Losing != count || len(e.Flows) != 2 || e.Flows[0].Count != count || len(r.memo) > memoMost/3+1 {
		t.Errorf("%d remembered: %s", len(r.memo), effectText(e))
	}
}

// TestReplayScores: what a clause gives to those who contribute flows to whom the
// scores entitle, and by a contribution that is new or changed to whomever it may.
func TestReplayScores(t *testing.T) {
	old := pact()
	old.Clauses[0].If.Contribution = "gives"
	entitled := map[string]map[protocol.MemberID]time.Time{"gives": {member("vendor"): testNow.AddDate(0, 0, 1)}}
	flows := func(change func(*protocol.Agreement)) string {
		next := twin(old)
		change(next)
		r, err := NewReplay(old, next, entitled, testNow)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range []protocol.Marking{protocol.Green, protocol.Amber} {
			r.Add(Held{ID: fmt.Sprint("indicator", i), Topic: "iocs", Author: member("bank"), Subject: Subject{Type: "indicator", Marking: m}, Added: int64(i + 1)})
		}
		return effectText(r.Effect())
	}
	for name, c := range map[string]struct {
		change func(*protocol.Agreement)
		want   string
	}{
		"nothing":          {func(a *protocol.Agreement) { a.Scores[0].Text = "Give." }, ""},
		"less for givers":  {func(a *protocol.Agreement) { a.Clauses[0].Max = protocol.Green }, "stops iocs to vendor by agreement  (no clause permits TLP:AMBER from bank on topic iocs to this reader): 1 indicator1\n"},
		"easier":           {func(a *protocol.Agreement) { a.Scores[0].Objects = 1 }, "flows iocs to cert by agreement 1 (Share.): 2 indicator0 indicator1\n"},
		"for all":          {func(a *protocol.Agreement) { a.Clauses[0].If.Contribution = "" }, "flows iocs to cert by agreement 1 (Share.): 2 indicator0 indicator1\n"},
		"by another score": {func(a *protocol.Agreement) { a.Scores[0].Name = "asks"; a.Clauses[0].If.Contribution = "asks" }, "flows iocs to cert by agreement 1 (Share.): 2 indicator0 indicator1\n"},
	} {
		if got := flows(c.change); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
		}
	}
}
