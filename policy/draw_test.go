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

			Suspended: drawOnce(t, "suspended", true, false, false),
		})
	}
	a.Cuts = []protocol.Cut{{Member: member("gone")}, {Member: member("bank")}}
	for i := range a.Topics {
		a.Topics[i].Default = level.Draw(t, "default")
		if a.Visibility == protocol.Public {
			a.Topics[i].Default = min(a.Topics[i].Default, protocol.Clear)
		}
		a.Topics[i].Class = rapid.SampledFrom([]protocol.Class{0, 0, protocol.Operational, protocol.Criminal}).Draw(t, "default class")
	}
	a.Use.After = rapid.SampledFrom([]protocol.OwnUse{protocol.UseStops, protocol.UseUntilRetention}).Draw(t, "own use")
	a.Scores = []protocol.Contribution{{Name: "gives"}, {Name: "more"}}
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
		drawTerms(t, a, &c)
		a.Clauses = append(a.Clauses, c)
	}
	return a
}

// drawWide makes half of the agreements permit all that can be permitted.
func drawWide(t *rapid.T, a *protocol.Agreement) {
	if rapid.Bool().Draw(t, "wide") {
		a.Clauses = []protocol.Clause{{Number: "1", Permit: true, If: protocol.Conditions{Classes: allClasses}, Then: drawObligations(t),
			To: protocol.Selector{Public: a.Visibility == protocol.Public}}}
	}
}

// drawOnce draws one of the values, and mostly the zero value.
func drawOnce[V any](t *rapid.T, label string, values ...V) V {
	if rapid.Bool().Draw(t, label+"?") || rapid.Bool().Draw(t, label+"??") {
		var none V
		return none
	}
	return rapid.SampledFrom(values).Draw(t, label)
}

// The periods of clauses: two that nearly meet, and one of each kind.
var periods = []protocol.Period{
	{Count: 30, Unit: protocol.Days}, {Count: 1, Unit: protocol.Months}, {Count: 6, Unit: protocol.Hours}, {Count: 1, Unit: protocol.Years},
}

// drawTerms draws conditions, obligations, scope and survival.
func drawTerms(t *rapid.T, a *protocol.Agreement, c *protocol.Clause) {
	if c.Permit && rapid.Bool().Draw(t, "obligations?") {
		c.Then = drawObligations(t)
	}
	if rapid.Bool().Draw(t, "plain") {
		return
	}
	op, cr := protocol.Operational, protocol.Criminal
	c.If.Classes = drawOnce(t, "classes", cr, op|cr, op|protocol.PersonalData, op|cr|protocol.PersonalData|protocol.Military)
	switch rapid.IntRange(0, 8).Draw(t, "conditions") {
	case 0:
		c.If.PAP = rapid.SampledFrom([]protocol.PAP{protocol.PAPClear, protocol.PAPGreen, protocol.PAPAmber, protocol.PAPRed}).Draw(t, "max-pap")
	case 1:
		c.If.Context = true
	case 2:
		c.If.Confidence = rapid.SampledFrom([]int{1, 50, 80, 100}).Draw(t, "confidence")
		c.If.Context = drawOnce(t, "context", true)
	case 3:
		c.If.Age = rapid.SampledFrom(periods).Draw(t, "age")
	}
	if !c.Permit {
		c.Everywhere = drawOnce(t, "everywhere", true)
		return
	}
	if !c.To.Public {
		if drawOnce(t, "purposes?", true) {
			c.If.Purposes = rapid.SliceOfNDistinct(rapid.SampledFrom(purposes[1:4]), 1, 2, rapid.ID[string]).Draw(t, "purposes")
		}
		if drawOnce(t, "contribution?", true, false) {
			c.If.Contribution = rapid.SampledFrom([]string{"gives", "more"}).Draw(t, "contribution")
		}
	}
	c.Survives = a.Use.After == protocol.UseUntilRetention && drawOnce(t, "survives", true)
}

// purposes are those of readers; the last is in no clause, and no purpose.
var purposes = []string{"", "network-defence", "threat-research", "oversight", "prosecution", "sport"}

func drawObligations(t *rapid.T) *protocol.Obligations {
	things := protocol.RedactionThings()[:3]
	return &protocol.Obligations{
		Redact: drawOnce(t, "redact", things[:1], things[1:]), Pseudonymise: drawOnce(t, "pseudonymise", things[:2], things[2:]),
		Retain: drawOnce(t, "retain", periods...), Review: drawOnce(t, "review", periods...),
		Attribution: protocol.Attribution(drawOnce(t, "attribution", 1, 2)), Onward: protocol.Onward(drawOnce(t, "onward", 1, 2, 3, 4)),
		Actions: drawOnce(t, "actions", []string{"none"}, []string{"contact-first"}, protocol.PermittedActions()[1:4], protocol.PermittedActions()[3:]),
		AtRest:  drawOnce(t, "encrypt", true), Notify: protocol.Notify(drawOnce(t, "notify", 1, 2)),
		Licence: drawOnce(t, "licence", "Quote us.", "Ask us."), Embargo: drawMoment(t, "embargo"),
	}
}

// drawFacts draws facts about the parties of a random agreement.
func drawFacts(t *rapid.T) Facts {
	f := Facts{
		Terminated: drawOnce(t, "terminated", moments...), ClearOnly: drawOnce(t, "clear only", true, false),
		Encrypted: rapid.Bool().Draw(t, "encrypted"),
		Suspended: map[protocol.MemberID]time.Time{}, Entitled: map[string]map[protocol.MemberID]time.Time{"gives": {}, "more": {}},
	}
	for _, h := range handles {
		if until := drawOnce(t, "suspended", moments...); !until.IsZero() {
			f.Suspended[member(h)] = until
		}
		for _, score := range []string{"gives", "more"} {
			if rapid.Bool().Draw(t, "entitled?") {
				f.Entitled[score][member(h)] = rapid.SampledFrom(moments).Draw(t, "entitled")
			}
		}
	}
	return f
}

// drawn is a random question.
type drawn struct {
	topic          string
	author, reader protocol.MemberID
	subject        Subject
	now            time.Time
	purpose        string
	remote         bool
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
	q := drawn{
		topic: rapid.SampledFrom([]string{"iocs", "reports"}).Draw(t, "topic"), author: author, reader: drawMember(t, "reader"),
		subject: drawSubject(t), now: now,
		purpose: rapid.SampledFrom(purposes).Draw(t, "purpose"), remote: rapid.Bool().Draw(t, "remote"),
	}
	q.subject.Header = protocol.Marking(rapid.SampledFrom([]int{0, 0, 2, 5}).Draw(t, "header"))
	q.subject.Version = uint64(rapid.SampledFrom([]int{0, 1, 3, 4}).Draw(t, "version"))
	return q
}

func drawSubject(t *rapid.T) Subject {
	op, cr := protocol.Operational, protocol.Criminal
	s := Subject{
		Type:       rapid.SampledFrom([]string{"indicator", "ipv4-addr", "note", "x-unheard-of"}).Draw(t, "type"),
		Marking:    protocol.Marking(rapid.SampledFrom([]int{0, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6}).Draw(t, "tlp")),
		Problem:    rapid.SampledFrom([]string{"", "", "", "", "", "forged"}).Draw(t, "problem"),
		PAP:        protocol.PAP(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3, 4, 5}).Draw(t, "pap")),
		Classes:    drawOnce(t, "declared", op, cr, op|cr, protocol.Military, op|protocol.UnknownClass, 1<<9),
		Context:    rapid.Bool().Draw(t, "context"),
		Confidence: rapid.SampledFrom([]int{-1, 0, 1, 49, 50, 80, 99, 100, 100}).Draw(t, "confidence"),
	}
	if drawOnce(t, "person", true) {
		s.Inherent = protocol.PersonalData
	}
	if !drawOnce(t, "undated", true) {
		at := rapid.SampledFrom(moments).Draw(t, "from")
		if p := rapid.SampledFrom(append(periods, protocol.Period{})).Draw(t, "age"); !p.IsZero() {
			at = p.Before(at).Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "shift")) * time.Microsecond)
		}
		s.Modified = at
	}
	return s
}

// compileDrawn makes an engine of drawn agreements and facts.
func compileDrawn(t *rapid.T, self protocol.MemberID, facts Facts, all ...*protocol.Agreement) *Engine {
	var rules []*Rules
	for _, a := range all {
		r, err := CompileAgreement(a)
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

// TestDrawnAgreementsAllow keeps the random tests honest: what they draw is
// allowed, withheld and refused, and denied by clauses, often enough.
func TestDrawnAgreementsAllow(t *testing.T) {
	count := map[Outcome]int{}
	clauses, duties := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		a := drawAgreement(t)
		e, err := Compile(member("bank"), []*protocol.Agreement{a})
		if err != nil {
			t.Fatalf("compile: %v", err)
		}
		for range 80 {
			q := drawQuestion(t)
			v := e.Outbound(a.ID, q.topic, q.author, q.subject, q.now)
			count[v.Outcome]++
			for _, d := range v.Denied {
				if d.Decision.Clause != "" {
					clauses++
				}
			}
			if v.Duties != nil {
				duties++
			}
		}
	})
	proportionate(t)
	if count[Allow] < 40 || count[Withhold] < 40 || count[Refuse] < 40 || clauses < 20 || duties < 20 {
		t.Errorf("the draw is lopsided: %v, %d denials by clauses, %d with duties", count, clauses, duties)
	}
	t.Logf("%v, %d denials by clauses, %d with duties", count, clauses, duties)
}
