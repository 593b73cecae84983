package cases

import (
	"slices"
	"strings"
	"testing"

	"entente/protocol"
)

// withTerms is the alliance with every term in it.
func withTerms(t *testing.T) *protocol.Agreement {
	a := alliance(t)
	a.Use.After = protocol.UseUntilRetention
	a.Scores = []protocol.Contribution{{Name: "giving", Text: "x", Objects: 1, Within: protocol.Period{Count: 1, Unit: protocol.Years}, Signers: 1, Entitles: protocol.Period{Count: 1, Unit: protocol.Years}}}
	days := func(n int) protocol.Period { return protocol.Period{Count: n, Unit: protocol.Days} }
	a.Clauses = []protocol.Clause{
		{Number: "1", Line: 1, Text: "Recent indicators with context, for those who give.", Permit: true, Topics: []string{"indicators"}, Types: []string{"indicator"}, Survives: true,
			If:   protocol.Conditions{PAP: protocol.PAPAmber, Context: true, Confidence: 50, Age: days(30), Contribution: "giving"},
			Then: &protocol.Obligations{Retain: days(90), Onward: protocol.OnwardNever}},
		{Number: "2", Line: 2, Text: "Incidents, to answer them.", Permit: true, Topics: []string{"incidents"},
			If:   protocol.Conditions{Purposes: []string{"incident-response"}, Classes: protocol.Operational | protocol.Criminal},
			Then: &protocol.Obligations{Redact: []string{"victims", "accounts"}, AtRest: true}},
		{Number: "3", Line: 3, Text: "No politics.", If: protocol.Conditions{Classes: protocol.Political}},
	}
	return a
}

const termCases = `at: 2027-06-15
cases:
  - name: the vendor gave, and gets
    object: {type: indicator, marking: TLP:AMBER, pap: PAP:AMBER, context: true, confidence: 50, modified: 2027-06-01}
    from: bank
    to: vendor
    topic: indicators
    facts: {entitled: [{contribution: giving, parties: [vendor]}]}
    expect: allow
    clause: "1"
    obligations: {onward: never, retain: 90 days}
  - name: who did not give gets nothing
    object: {type: indicator, marking: TLP:AMBER, pap: PAP:AMBER, context: true, confidence: 50, modified: 2027-06-01}
    from: bank
    to: vendor
    topic: indicators
    expect: withhold
    clause: ""
  - name: without context
    object: {type: indicator, pap: PAP:AMBER, confidence: 50, modified: 2027-06-01}
    from: bank
    to: vendor
    topic: indicators
    facts: {entitled: [{contribution: giving, parties: [vendor]}]}
    expect: withhold
  - name: unsure
    object: {type: indicator, pap: PAP:AMBER, context: true, confidence: 49, modified: 2027-06-01}
    from: bank
    to: vendor
    topic: indicators
    facts: {entitled: [{contribution: giving, parties: [vendor]}]}
    expect: withhold
  - name: too visible
    object: {type: indicator, pap: PAP:RED, context: true, confidence: 50, modified: 2027-06-01}
    from: bank
    to: vendor
    topic: indicators
    facts: {entitled: [{contribution: giving, parties: [vendor]}]}
    expect: withhold
  - name: too old
    object: {type: indicator, context: true, confidence: 50, modified: 2027-05-15}
    from: bank
    to: vendor
    topic: indicators
    facts: {entitled: [{contribution: giving, parties: [vendor]}]}
    expect: withhold
  - name: read on after the end
    object: {type: indicator, marking: TLP:AMBER, context: true, confidence: 50, modified: 2027-12-20}
    from: bank
    to: vendor
    topic: indicators
    at: 2028-01-02
    facts: {entitled: [{contribution: giving, parties: [vendor]}]}
    expect: allow
    clause: "1"
  - name: incidents for those who answer them
    object: {type: incident, classes: [criminal]}
    from: bank
    to: cert
    topic: incidents
    purpose: incident-response
    facts: {encrypted: true}
    expect: allow
    clause: "2"
    obligations: {redact: [victims, accounts], encrypt: at-rest}
  - name: not for research
    object: {type: incident}
    from: bank
    to: cert
    topic: incidents
    purpose: threat-research
    facts: {encrypted: true}
    expect: withhold
  - name: not without a purpose
    object: {type: incident}
    from: bank
    to: cert
    topic: incidents
    facts: {encrypted: true}
    expect: withhold
  - name: no military matters
    object: {type: incident, classes: [criminal, military]}
    from: bank
    to: cert
    topic: incidents
    purpose: incident-response
    facts: {encrypted: true}
    expect: withhold
    clause: ""
  - name: no persons
    object: {type: user-account}
    from: bank
    to: cert
    topic: incidents
    purpose: incident-response
    facts: {encrypted: true}
    expect: withhold
    clause: ""
  - name: not on a plain disk
    object: {type: incident}
    from: bank
    to: cert
    topic: incidents
    purpose: incident-response
    expect: withhold
  - name: no politics
    object: {type: incident, classes: [operational, political]}
    from: bank
    to: cert
    topic: incidents
    expect: withhold
    clause: "3"
  - name: not to those who are suspended
    object: {type: incident}
    from: bank
    to: cert
    topic: incidents
    purpose: incident-response
    facts: {encrypted: true, suspended: cert}
    expect: withhold
  - name: not while nobody vouches
    object: {type: incident}
    from: bank
    topic: incidents
    facts: {clear-only: true}
    expect: withhold
  - name: not when the parties ended it
    object: {type: incident}
    from: bank
    topic: incidents
    facts: {terminated: 2027-06-14}
    expect: refuse
  - name: not before it begins
    object: {type: incident}
    from: bank
    topic: incidents
    at: 2026-12-31
    expect: refuse
`

// TestTerms asks of every term on both of its sides, which is all that there is
// to cover.
func TestTerms(t *testing.T) {
	covered(t, "terms", run(t, withTerms(t), termCases))
}

// TestTermsCount takes each case away: what it alone showed is missing then.
func TestTermsCount(t *testing.T) {
	for name, want := range map[string]string{
		"who did not give gets nothing": "1 contribution", "without context": "1 context", "unsure": "1 confidence", "too visible": "1 max-pap",
		"too old": "1 age", "read on after the end": "1 survives, until", "no politics": "3", "not for research": "",
	} {
		at := strings.Index(termCases, "  - name: "+name+"\n")
		rest := termCases[at+4:]
		end := strings.Index(rest, "  - name: ")
		r := run(t, withTerms(t), termCases[:at]+rest[end:])
		var missing []string
		for _, p := range r.Coverage.Missing() {
			missing = append(missing, strings.TrimSpace(p.Clause+" "+p.Condition))
		}
		if got := strings.Join(missing, ", "); got != want {
			t.Errorf("without %q there is missing %q, not %q", name, got, want)
		}
	}
}

// TestObligationsAreCompared fails on one too many, one too few, and another.
func TestObligationsAreCompared(t *testing.T) {
	const is = "the obligations retain 90 days; onward never; the answer is allow by agreement, clause 1"
	for want, says := range map[string]string{
		"{retain: 90 days}":                             "expected the obligations retain 90 days, and there are " + is,
		"{retain: 90 days, onward: never, notify: may}": "expected the obligations retain 90 days; onward never; notify may, and there are " + is,
		"{retain: 91 days, onward: ask}":                "expected the obligations retain 91 days; onward ask, and there are " + is,
		"{}":                                            "expected no obligations, and there are " + is,
	} {
		r := run(t, withTerms(t), strings.Replace(termCases, "{onward: never, retain: 90 days}", want, 1))
		if r.Failed != 1 || len(r.Cases[0].Differences) != 1 || !strings.Contains(r.Cases[0].Differences[0], says) {
			t.Errorf("%s: %q", want, r.Cases[0].Differences)
		}
		if i := slices.IndexFunc(r.Coverage.Points, func(p Point) bool { return p.Clause == "1" && p.Condition == "obligations" }); r.Coverage.Points[i].Covered {
			t.Errorf("%s: a case that fails shows the obligations", want)
		}
	}
}

// TestTermRefusals holds words that are not known to their text.
func TestTermRefusals(t *testing.T) {
	for name, c := range map[string][3]string{
		"class":      {"classes: [criminal]", "classes: [crime]", "subject class"},
		"PAP":        {"pap: PAP:RED", "pap: RED", "PAP level"},
		"confidence": {"confidence: 49", "confidence: 101", "is no confidence"},
		"context":    {"context: true", "context: 1", `"1" is neither true nor false`},
		"modified":   {"modified: 2027-06-01", "modified: yesterday", "is no time"},
		"purpose":    {"purpose: threat-research", "purpose: research", "is no purpose; the purposes are network-defence"},
		"no reader":  {"    from: bank\n    topic: incidents\n    facts: {clear-only: true}", "    from: bank\n    topic: incidents\n    purpose: oversight", `"purpose" goes with "to"`},
		"fact":       {"encrypted: true", "encripted: true", `unknown field "encripted"`},
		"score":      {"contribution: giving", "contribution: taking", `no contribution "taking"`},
		"entitled":   {"parties: [vendor]", "parties: [vendors]", `"vendors" is no party`},
		"suspended":  {"suspended: cert", "suspended: certs", `"certs" is no party`},
		"terminated": {"terminated: 2027-06-14", "terminated: soon", "is no time"},
		"obligation": {"onward: never,", "onwards: never,", `unknown field "onwards"`},
		"onward":     {"onward: never,", "onward: nobody,", `"nobody" is not known here; the words are never, ask, clients, any`},
		"period":     {"retain: 90 days", "retain: 90d", "is no period"},
		"thing":      {"redact: [victims, accounts]", "redact: [victim]", `"victim" is not known here; the words are victims, `},
	} {
		text := strings.Replace(termCases, c[0], c[1], 1)
		if text == termCases {
			t.Errorf("%s: nothing was changed", name)
		}
		f, err := Parse("tests.yaml", []byte(text))
		if err == nil {
			_, err = Run(t.Context(), withTerms(t), Source{File: f})
		}
		if protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), c[2]) || !strings.Contains(err.Error(), "^") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDraftShowsTerms holds the draft of an agreement with every term to show
// all of it.
func TestDraftShowsTerms(t *testing.T) {
	a := withTerms(t)
	text, err := Draft(a)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, a, string(text))
	covered(t, "draft", r)
	if t.Failed() {
		t.Logf("%s", text)
	}
	if warnings, err := Advise(a, testNow); err != nil || len(warnings) > 0 {
		t.Errorf("%v, %v", warnings, err)
	}
}
