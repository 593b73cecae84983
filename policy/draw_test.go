package policy

import (
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// The moments that random agreements and questions use: few, so that they meet.
var moments = []time.Time{
	testFrom.Add(-time.Microsecond), testFrom, testFrom.Add(time.Microsecond), testNow,
	testNow.Add(time.Microsecond), testUntil.Add(-time.Microsecond), testUntil, testUntil.AddDate(80, 0, 0),
}

var handles = []string{"bank", "vendor", "cert", "police", "gone", "stranger"}

func drawMember(t *rapid.T, label string) protocol.MemberID {
	return member(rapid.SampledFrom(append([]string{"public"}, handles...)).Draw(t, label))
}

func drawSome(t *rapid.T, label string, from ...string) []string {
	if rapid.Bool().Draw(t, label+"?") {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 2, rapid.ID[string]).Draw(t, label)
}

func drawSelector(t *rapid.T, label string) protocol.Selector {
	var s protocol.Selector
	switch rapid.IntRange(0, 5).Draw(t, label) {
	case 0:
		s.Parties = drawSome(t, "parties", handles[:4]...)
	case 1:
		s.Kinds = drawSome(t, "kinds", "company", "cert", "government")
		s.Roles = drawSome(t, "roles", "analyst", "liaison")
	case 2:
		s.Countries = drawSome(t, "countries", "DE", "US", "FR")
	}
	return s
}

// drawMoment draws a date of a clause: mostly none.
func drawMoment(t *rapid.T, label string) time.Time {
	if rapid.IntRange(0, 3).Draw(t, label+"?") > 0 {
		return time.Time{}
	}
	return rapid.SampledFrom(moments).Draw(t, label)
}

func drawAgreement(t *rapid.T) *protocol.Agreement {
	level := rapid.SampledFrom([]protocol.Marking{protocol.NoMarking, protocol.Clear, protocol.Green, protocol.Amber})
	a := alliance()
	a.Visibility = rapid.SampledFrom([]protocol.Visibility{protocol.Private, protocol.Private, protocol.Public}).Draw(t, "visibility")
	a.LegalBasis.Until = drawMoment(t, "basis")
	a.Parties = nil
	for _, h := range handles[:4] {
		a.Parties = append(a.Parties, protocol.Party{
			Handle: h, ID: member(h),
			Kind:    rapid.SampledFrom([]string{"company", "cert"}).Draw(t, "kind"),
			Country: rapid.SampledFrom([]string{"", "DE", "US"}).Draw(t, "country"),
			Roles:   drawSome(t, "role", "analyst", "liaison"),
		})
	}
	a.Cuts = []protocol.Cut{{Member: member("gone")}, {Member: member("bank")}}
	for i := range a.Topics {
		a.Topics[i].Default = level.Draw(t, "default")
		if a.Visibility == protocol.Public {
			a.Topics[i].Default = min(a.Topics[i].Default, protocol.Clear)
		}
	}
	for i := range rapid.IntRange(0, 8).Draw(t, "clauses") {
		c := protocol.Clause{
			Number: strconv.Itoa(i + 1), Text: "prose", Permit: rapid.IntRange(0, 2).Draw(t, "permit") > 0,
			From: drawSelector(t, "from"), To: drawSelector(t, "to"),
			Topics: drawSome(t, "topics", "iocs", "reports"),
			Types:  drawSome(t, "types", "indicator", "ipv4-addr", "note"),
			Starts: drawMoment(t, "starts"), Ends: drawMoment(t, "ends"),
		}
		switch rapid.IntRange(0, 3).Draw(t, "markings") {
		case 0:
			c.Max = protocol.Marking(rapid.IntRange(1, 5).Draw(t, "max"))
		case 1:
			c.Marks = []protocol.Marking{protocol.Marking(rapid.IntRange(1, 5).Draw(t, "mark"))}
		}
		if !c.Starts.IsZero() && !c.Ends.IsZero() && !c.Starts.Before(c.Ends) {
			c.Ends = time.Time{}
		}
		if a.Visibility == protocol.Public && rapid.Bool().Draw(t, "public") {
			c.To = protocol.Selector{Public: true}
		}
		a.Clauses = append(a.Clauses, c)
	}
	return a
}

// drawn is a random question.
type drawn struct {
	topic          string
	author, reader protocol.MemberID
	subject        Subject
	now            time.Time
}

func drawQuestion(t *rapid.T) drawn {
	author := drawMember(t, "author")
	if rapid.IntRange(0, 3).Draw(t, "party") > 0 {
		author = member(rapid.SampledFrom(handles[:4]).Draw(t, "author"))
	}
	now := testNow
	if rapid.Bool().Draw(t, "any time") {
		now = rapid.SampledFrom(moments).Draw(t, "now")
	}
	return drawn{
		topic: rapid.SampledFrom([]string{"iocs", "reports"}).Draw(t, "topic"), author: author, reader: drawMember(t, "reader"),
		subject: Subject{
			Type:    rapid.SampledFrom([]string{"indicator", "ipv4-addr", "note", "x-unheard-of"}).Draw(t, "type"),
			Marking: protocol.Marking(rapid.SampledFrom([]int{0, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6}).Draw(t, "tlp")),
			Problem: rapid.SampledFrom([]string{"", "", "", "forged"}).Draw(t, "problem"),
			Header:  protocol.Marking(rapid.SampledFrom([]int{0, 0, 2, 5}).Draw(t, "header")),
			Version: uint64(rapid.SampledFrom([]int{0, 1, 3, 4}).Draw(t, "version")),
		},
		now: now,
	}
}

// TestDrawnAgreementsAllow keeps the random tests honest: what they draw is
// allowed, withheld and refused, and denied by clauses, often enough.
func TestDrawnAgreementsAllow(t *testing.T) {
	count := map[Outcome]int{}
	clauses := 0
	rapid.Check(t, func(t *rapid.T) {
		a := drawAgreement(t)
		e, err := Compile(member("bank"), []*protocol.Agreement{a})
		if err != nil {
			t.Fatalf("compile: %v", err)
		}
		for range 20 {
			q := drawQuestion(t)
			v := e.Outbound(a.ID, q.topic, q.author, q.subject, q.now)
			count[v.Outcome]++
			for _, d := range v.Denied {
				if d.Decision.Clause != "" {
					clauses++
				}
			}
		}
	})
	if testing.Short() {
		t.Skip("a short run draws too little for its proportions to mean anything")
	}
	if count[Allow] < 40 || count[Withhold] < 40 || count[Refuse] < 40 || clauses < 20 {
		t.Errorf("the draw is lopsided: %v, %d denials by clauses", count, clauses)
	}
	t.Logf("%v, %d denials by clauses", count, clauses)
}
