package protocol

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// testPact is an agreement of the bank and the CERT that uses every term.
func testPact() string {
	text := testAgreement()
	head, rest, _ := strings.Cut(text, "parties:\n")
	parties, _, _ := strings.Cut(rest, "topics:\n")
	head = strings.Replace(head, "name: harbour-watch", "name: pact", 1)
	head = strings.Replace(head, secretOf("one"), secretOf("pact"), 1)
	return head + `clients: Organisations whose networks a party operates.
suspend:
  kinds: [cert]
parties:
` + strings.Replace(parties, "    roles: [reader]\n", "    roles: [reader]\n    suspended: true\n", 1) + `topics:
  - name: cases
    description: Questions about persons.
    default-marking: TLP:AMBER+STRICT
    default-class: criminal
  - name: finds
contributions:
  - name: give
    text: Who takes must give.
    topics: [finds]
    types: [indicator]
    objects: 100
    within: 30 days
    signers: 2
    entitles: 1 month
    grace: 8 weeks
clauses:
  - number: 1
    text: The CERT may ask about persons.
    effect: permit
    topics: [cases]
    conditions:
      classes: [criminal, personal-data]
      max-pap: PAP:AMBER
      purposes: [criminal-investigation, prosecution]
      context: true
      confidence: 50
      age: 1 year
    obligations:
      redact: [credentials, free-text]
      pseudonymise: [victims]
      retain: 5 years
      review: 12 months
      attribution: must-not
      onward: ask
      actions: [contact-first, internally-visible]
      encrypt: at-rest
      notify: must-not
      licence: For the parties alone.
      embargo: 2027-01-15T12:00:00Z
    survives: true
  - number: 2
    text: Who has given gets.
    effect: permit
    topics: [finds]
    conditions: {contribution: give}
  - number: 3
    text: Nothing of belief goes anywhere.
    effect: forbid
    conditions: {classes: [religious, racial]}
    scope: everywhere
`
}

func TestTermsAreReadAsWritten(t *testing.T) {
	a := mustAgreement(t, testPact())
	if a.Use.After != UseUntilRetention || a.Use.Clients == "" || a.Suspend == nil || !slices.Equal(a.Suspend.Kinds, []string{"cert"}) {
		t.Errorf("read %+v, suspend %+v", a.Use, a.Suspend)
	}
	if a.Topics[0].Class != Criminal || a.Topics[1].Class != Operational {
		t.Errorf("topics %+v", a.Topics)
	}
	if n := slices.IndexFunc(a.Parties, func(p Party) bool { return p.Suspended }); n < 0 || !slices.Equal(a.Parties[n].Roles, []string{"reader"}) {
		t.Errorf("parties %+v", a.Parties)
	}
	want := Contribution{Name: "give", Text: "Who takes must give.", Topics: []string{"finds"}, Types: []string{"indicator"}, Objects: 100,
		Within: Period{30, Days}, Signers: 2, Entitles: Period{1, Months}, Grace: Period{8, Weeks}}
	if len(a.Scores) != 1 || !reflect.DeepEqual(a.Scores[0], want) {
		t.Errorf("contributions %+v", a.Scores)
	}
	c := a.Clauses[0]
	conditions := Conditions{Classes: Criminal | PersonalData, PAP: PAPAmber, Purposes: []string{"criminal-investigation", "prosecution"},
		Context: true, Confidence: 50, Age: Period{1, Years}}
	if !reflect.DeepEqual(c.If, conditions) {
		t.Errorf("conditions %+v", c.If)
	}
	obligations := &Obligations{Redact: []string{"credentials", "free-text"}, Pseudonymise: []string{"victims"}, Retain: Period{5, Years},
		Review: Period{12, Months}, Attribution: AttributionMustNot, Onward: OnwardAsk, Actions: []string{"contact-first", "internally-visible"},
		AtRest: true, Notify: NotifyMustNot, Licence: "For the parties alone.", Embargo: time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)}
	if !reflect.DeepEqual(c.Then, obligations) || !c.Survives {
		t.Errorf("obligations %+v", c.Then)
	}
	if c = a.Clauses[1]; c.If.Contribution != "give" || c.Then != nil || c.If.Classes != 0 {
		t.Errorf("clause 2 %+v", c)
	}
	if c = a.Clauses[2]; !c.Everywhere || c.If.Classes != Religious|Racial {
		t.Errorf("clause 3 %+v", c)
	}
}

func pactRefusals() [][3]string {
	return [][3]string{
		{"no own use", "own-use: until-retention\n", ""},
		{"unknown own use", "own-use: until-retention", "own-use: forever"},
		{"survival where use stops", "own-use: until-retention", "own-use: stop"},
		{"nobody may suspend", "suspend:\n  kinds: [cert]\n", "suspend: {}\n"},
		{"unknown party may suspend", "suspend:\n  kinds: [cert]\n", "suspend: {parties: [nobody]}\n"},
		{"suspended: false", "suspended: true", "suspended: false"},
		{"unknown class of a topic", "default-class: criminal", "default-class: crime"},
		{"unknown class of a clause", "classes: [religious, racial]", "classes: [religion]"},
		{"contribution twice", "    grace: 8 weeks\n", "    grace: 8 weeks\n  - {name: give, text: Again., objects: 1, within: 1 day, signers: 1, entitles: 1 day}\n"},
		{"unknown contribution", "{contribution: give}", "{contribution: gave}"},
		{"contribution in a forbid", "conditions: {classes: [religious, racial]}", "conditions: {contribution: give}"},
		{"purpose in a forbid", "conditions: {classes: [religious, racial]}", "conditions: {purposes: [oversight]}"},
		{"score of nothing", "objects: 100", "objects: 0"},
		{"score that too many sign", "signers: 2", "signers: 3"},
		{"period without unit", "within: 30 days", "within: 30"},
		{"period in letters", "within: 30 days", "within: thirty days"},
		{"period of another unit", "retain: 5 years", "retain: 5 decades"},
		{"period of nothing", "retain: 5 years", "retain: 0 years"},
		{"no condition", "{contribution: give}", "{}"},
		{"unknown condition", "context: true", "contxt: true"},
		{"context: false", "context: true", "context: false"},
		{"confidence above 100", "confidence: 50", "confidence: 101"},
		{"unknown PAP level", "PAP:AMBER", "PAP:YELLOW"},
		{"unknown purpose", "[criminal-investigation, prosecution]", "[criminal-investigations]"},
		{"no obligation", "    survives: true", "    survives: true\n  - {number: 9, text: x, effect: permit, obligations: {}}"},
		{"obligation of a forbid", "    scope: everywhere", "    obligations: {retain: 1 day}"},
		{"unknown obligation", "retain: 5 years", "retention: 5 years"},
		{"unknown thing", "redact: [credentials, free-text]", "redact: [credential]"},
		{"redacted and pseudonymised", "pseudonymise: [victims]", "pseudonymise: [credentials]"},
		{"review after the end", "review: 12 months", "review: 6 years"},
		{"unknown attribution", "attribution: must-not", "attribution: never"},
		{"unknown onward", "onward: ask", "onward: parties"},
		{"unknown field of a contribution", "signers: 2", "signer: 2"},
		{"unknown action", "[contact-first, internally-visible]", "[block]"},
		{"none and more", "[contact-first, internally-visible]", "[contact-first, none]"},
		{"encrypt", "encrypt: at-rest", "encrypt: in-transit"},
		{"notify", "notify: must-not", "notify: must"},
		{"embargo beyond the end", "embargo: 2027-01-15T12:00:00Z", "embargo: 2030-01-01"},
		{"scope", "scope: everywhere", "scope: here"},
		{"scope of a permit", "    conditions: {contribution: give}", "    scope: everywhere"},
		{"survival of a forbid", "    scope: everywhere", "    survives: true"},
	}
}

func TestPeriods(t *testing.T) {
	at := func(s string) time.Time {
		m, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct{ period, from, after string }{
		{"90 minutes", "2026-12-31T23:00:00Z", "2027-01-01T00:30:00Z"},
		{"36 hours", "2026-12-31T23:00:00Z", "2027-01-02T11:00:00Z"},
		{"1 day", "2027-02-28T10:00:00+02:00", "2027-03-01T08:00:00Z"},
		{"2 weeks", "2027-02-20T00:00:00Z", "2027-03-06T00:00:00Z"},
		{"1 month", "2027-01-31T06:00:00Z", "2027-02-28T06:00:00Z"},
		{"13 months", "2027-01-31T06:00:00Z", "2028-02-29T06:00:00Z"},
		{"1 year", "2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z"},
		{"5 years", "2026-11-23T00:00:00Z", "2031-11-23T00:00:00Z"},
	} {
		p, err := ParsePeriod(c.period)
		if err != nil || p.String() != c.period {
			t.Errorf("%q is read as %q, %v", c.period, p, err)
		}
		if got := p.After(at(c.from)); !got.Equal(at(c.after)) || got.Location() != time.UTC {
			t.Errorf("%s after %s is %s, want %s", c.period, c.from, got, c.after)
		}
	}
	if got := (Period{1, Months}).Before(at("2027-03-31T00:00:00Z")); !got.Equal(at("2027-02-28T00:00:00Z")) {
		t.Errorf("a month before the end of March is %s", got)
	}
	for _, bad := range []string{"", "1", "days", "1  day", "01 days", "-1 days", "10001 days", "1.5 years", "2 day", "1 Day", "1 day "} {
		if p, err := ParsePeriod(bad); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
	short, long := Period{30, Days}, Period{1, Years}
	if short.Shorter(long) != short || long.Shorter(short) != short || (Period{}).Shorter(long) != long || long.Shorter(Period{}) != long {
		t.Error("the shorter of two periods")
	}
}

func TestWords(t *testing.T) {
	for _, w := range classWords() {
		if c, err := ParseClass(w); err != nil || c.String() != w {
			t.Errorf("class %q: %v, %v", w, c, err)
		}
	}
	if s := (Criminal | PersonalData | UnknownClass).String(); s != "criminal and personal-data and a class that is not known here" {
		t.Error(s)
	}
	for _, w := range papWords() {
		if p, err := ParsePAP(w); err != nil || p.String() != w {
			t.Errorf("level %q: %v, %v", w, p, err)
		}
	}
	if p, err := ParsePAP("PAP:WHITE"); err != nil || p != PAPClear || NoPAP.String() != "no PAP level" {
		t.Error(p, err)
	}
}
