package cases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"entente/policy"
	"entente/protocol"
)

// TestEachWarning gives an agreement one oddity at a time and holds what is said
// of it, and of what is nearly the same and not odd.
func TestEachWarning(t *testing.T) {
	permit := func(number string, change func(*protocol.Clause)) protocol.Clause {
		c := protocol.Clause{Number: number, Line: 60, Text: "x", Permit: true, Topics: []string{"indicators"}}
		change(&c)
		return c
	}
	forbid := func(number string, change func(*protocol.Clause)) protocol.Clause {
		c := permit(number, change)
		c.Permit = false
		return c
	}
	first := func(clauses ...protocol.Clause) func(*protocol.Agreement) {
		return func(a *protocol.Agreement) { a.Clauses = append(clauses, a.Clauses...) }
	}
	last := func(clauses ...protocol.Clause) func(*protocol.Agreement) {
		return func(a *protocol.Agreement) { a.Clauses = append(a.Clauses, clauses...) }
	}
	public := func(clauses ...protocol.Clause) func(*protocol.Agreement) {
		return func(a *protocol.Agreement) {
			a.Visibility, a.Topics, a.Clauses = protocol.Public, a.Topics[:1], nil
			a.Topics[0].Default = protocol.Clear
			a.Clauses = append(a.Clauses, permit("1", func(c *protocol.Clause) { c.To.Public = true }))
			last(clauses...)(a)
		}
	}
	malware := []string{"malware"}
	for name, c := range map[string]struct {
		change func(*protocol.Agreement)
		want   string // CODE: TEXT; several lines; "": no warning
	}{
		"nothing": {func(*protocol.Agreement) {}, ""},
		"from nobody": {last(forbid("4", func(c *protocol.Clause) { c.From.Kinds = []string{"research"} })),
			"nobody: clause 4 never decides: no party is among those it takes from"},
		"to nobody": {last(forbid("4", func(c *protocol.Clause) { c.To.Parties, c.To.Kinds = []string{"bank"}, []string{"cert"} })),
			"nobody: clause 4 never decides: no party is among those it gives to"},
		"to oneself": {last(forbid("4", func(c *protocol.Clause) { c.From.Parties, c.To.Kinds = []string{"bank"}, []string{"company"} })),
			"nobody: clause 4 never decides: it takes from and gives to one party alone, which may read its own anyway"},
		"RED alone": {last(forbid("4", func(c *protocol.Clause) { c.Marks = []protocol.Marking{protocol.Red} })),
			"floor: clause 4 never decides: it speaks of TLP:RED alone, which never goes on a topic"},
		"RED among others": {last(forbid("4", func(c *protocol.Clause) { c.Marks = []protocol.Marking{protocol.AmberStrict, protocol.Red} })), ""},
		"permitted before": {last(permit("4", func(c *protocol.Clause) { c.Types, c.Max = malware, protocol.Green })),
			"beaten: clause 4 never decides: clause 1 always does, which stands before it and says the same of all that it speaks of"},
		"permitted after": {first(permit("0", func(c *protocol.Clause) { c.Types, c.Max = malware, protocol.Green })), ""},
		"permitted before, with obligations": {last(permit("4", func(c *protocol.Clause) {
			c.Types, c.Max, c.Then = malware, protocol.Green, &protocol.Obligations{Licence: "CC BY 4.0"}
		})), ""},
		"permitted before, but less": {last(permit("4", func(c *protocol.Clause) { c.Types = malware })), ""},
		"forbidden before and after": {last(forbid("4", func(c *protocol.Clause) { c.Types = []string{"incident", "malware"} }), forbid("5", func(c *protocol.Clause) { c.Types = malware })),
			"beaten: clause 5 never decides: clause 4 always does, which stands before it and says the same of all that it speaks of"},
		"forbidden after": {last(permit("4", func(c *protocol.Clause) { c.Types, c.Topics = malware, nil }), forbid("5", func(c *protocol.Clause) { c.Types, c.Topics = malware, nil })),
			"beaten: clause 4 never decides: clause 5 always does, which forbids all that it permits"},
		"forbidden for a time": {last(permit("4", func(c *protocol.Clause) { c.Types, c.Topics = malware, []string{"incidents"} }),
			forbid("5", func(c *protocol.Clause) { c.Types, c.Topics, c.Ends = malware, nil, testFrom.AddDate(0, 11, 0) })), "beaten: clause 4 never decides: clause 3 always does, which stands before it and says the same of all that it speaks of"},
		"begins too late": {func(a *protocol.Agreement) {
			a.LegalBasis.Until = testFrom.AddDate(0, 9, 0)
			last(forbid("4", func(c *protocol.Clause) { c.Starts = testFrom.AddDate(0, 9, 0) }))(a)
		}, "late: clause 4 never decides: it begins on 2027-10-01, when the legal basis has lapsed (2027-10-01)\n" +
			"basis: the agreement lapses with its legal basis on 2027-10-01, before its end on 2028-01-01"},
		"is over":       {last(forbid("4", func(c *protocol.Clause) { c.Ends = testNow })), "over: clause 4 decides nothing any more: it ended on 2027-06-15"},
		"is not over":   {last(forbid("4", func(c *protocol.Clause) { c.Ends = testNow.Add(time.Second) })), ""},
		"unread":        {func(a *protocol.Agreement) { a.Topics = append(a.Topics, protocol.Topic{Name: "three"}) }, "unread-topic: nobody reads topic three: no clause permits anything there to anybody whom none forbids all"},
		"forbidden all": {last(forbid("4", func(*protocol.Clause) {})), "unread"},
		"read later": {func(a *protocol.Agreement) {
			a.Topics = append(a.Topics, protocol.Topic{Name: "three"})
			last(permit("4", func(c *protocol.Clause) {
				c.Topics, c.Starts, c.Ends = []string{"three"}, testFrom.AddDate(0, 8, 0), testFrom.AddDate(0, 9, 0)
			}))(a)
		}, ""},
		"idle": {func(a *protocol.Agreement) {
			a.Parties = append(a.Parties, party("ngo", "ngo"))
			for i := range a.Clauses {
				a.Clauses[i].From.Kinds, a.Clauses[i].To.Kinds = []string{"company", "vendor", "cert"}, []string{"company", "vendor", "cert"}
			}
		}, "idle-party: ngo gives nothing and gets nothing: no clause permits it either"},
		"idle and suspended": {func(a *protocol.Agreement) {
			a.Parties = append(a.Parties, party("ngo", "ngo"))
			a.Parties[3].Suspended = true
			for i := range a.Clauses {
				a.Clauses[i].From.Kinds, a.Clauses[i].To.Kinds = []string{"company", "vendor", "cert"}, []string{"company", "vendor", "cert"}
			}
		}, ""},
		"ends soon":      {func(a *protocol.Agreement) { a.Until = testNow.AddDate(0, 0, 30) }, "ends: the agreement ends on 2027-07-15, in 30 days"},
		"ends later":     {func(a *protocol.Agreement) { a.Until = testNow.AddDate(0, 0, 31) }, ""},
		"has just ended": {func(a *protocol.Agreement) { a.Until = testNow }, "ends: the agreement ended on 2027-06-15"},
		"the public reads it": {public(forbid("2", func(c *protocol.Clause) { c.Types = malware })),
			"public: clause 2 keeps nothing from the public: it forbids to parties what clause 1 permits to everybody"},
		"the public does not": {public(forbid("2", func(c *protocol.Clause) { c.Types, c.To.Public = malware, true })), ""},
		"nobody reads it at all": {public(forbid("2", func(c *protocol.Clause) { c.Types = malware }),
			forbid("3", func(c *protocol.Clause) { c.Types, c.To.Public = malware, true })), ""},
		"said to parties too": {public(permit("2", func(*protocol.Clause) {})),
			"beaten: clause 2 never decides: clause 1 always does, which stands before it and says the same of all that it speaks of"},
	} {
		a := alliance(t)
		c.change(a)
		if _, err := policy.CompileAgreement(a); err != nil && strings.Contains(err.Error(), "not enforced by this version") {
			continue // there is nothing to warn of yet
		}
		got, err := Advise(a, testNow)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var lines []string
		for _, w := range got {
			lines = append(lines, w.Code+": "+w.Text)
			if w.Hint == "" || (w.Clause != "") != (w.Line > 0) {
				t.Errorf("%s: %+v", name, w)
			}
		}
		if said := strings.Join(lines, "\n"); said != c.want && !(c.want == "unread" && strings.Contains(said, "unread-topic: nobody reads topic indicators")) {
			t.Errorf("%s:\n got %s\nwant %s", name, said, c.want)
		}
	}
}

// TestWhoIsBounded holds that a table that is too large is refused, not begun.
func TestWhoIsBounded(t *testing.T) {
	a := alliance(t)
	for n := range 900 {
		a.Parties = append(a.Parties, party(fmt.Sprint("p", n), "company"))
	}
	if _, err := Who(a, testNow); protocol.KindOf(err) != protocol.Limit {
		t.Error(err)
	}
}
