package cases

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"entente/protocol"
)

var (
	testFrom  = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	testUntil = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	testNow   = time.Date(2027, 6, 15, 0, 0, 0, 0, time.UTC)
)

func party(handle, kind string) protocol.Party {
	return protocol.Party{Handle: handle, Name: "The " + handle, ID: sha256.Sum256([]byte(handle)), Root: sha256.Sum256([]byte("root of " + handle)), Kind: kind}
}

// template renders one of the shipped templates.
func template(t *testing.T, name string, parties ...protocol.Party) *protocol.Agreement {
	t.Helper()
	text, err := protocol.RenderTemplate(name, protocol.TemplateValues{Name: "tested", Parties: parties, From: testFrom, Until: testUntil, Secret: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := protocol.ParseAgreement(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// templates returns every template between parties that fit it.
func templates(t *testing.T) map[string]*protocol.Agreement {
	bank, vendor, cert := party("bank", "company"), party("vendor", "vendor"), party("cert", "cert")
	out := map[string]*protocol.Agreement{
		protocol.AllianceTemplate: template(t, protocol.AllianceTemplate, bank, vendor, cert),
		protocol.ExchangeTemplate: template(t, protocol.ExchangeTemplate, party("police", "law-enforcement"), party("platform", "platform")),
		protocol.FeedTemplate:     template(t, protocol.FeedTemplate, cert, vendor),
	}
	for _, name := range protocol.Templates() {
		if out[name] == nil {
			t.Errorf("the template %s is not tested", name)
		}
	}
	return out
}

func alliance(t *testing.T) *protocol.Agreement {
	t.Helper()
	return templates(t)[protocol.AllianceTemplate]
}

func run(t *testing.T, a *protocol.Agreement, text string) *Report {
	t.Helper()
	f, err := Parse("tests.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), a, Source{File: f, Samples: testSamples()})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// covered holds a report to no failure and nothing missing.
func covered(t *testing.T, name string, r *Report) {
	t.Helper()
	for _, c := range r.Cases {
		if !c.Passed {
			t.Errorf("%s, line %d: %s: %q", name, c.Line, c.Case, c.Differences)
		}
	}
	for _, p := range r.Coverage.Missing() {
		t.Errorf("%s: no case shows %s %s: %s", name, p.Clause, p.Condition, p.Text)
	}
	if r.Coverage.Percent != 100 || r.Passed != len(r.Cases) || r.Failed != 0 {
		t.Errorf("%s: %d of %d passed, coverage %d", name, r.Passed, len(r.Cases), r.Coverage.Percent)
	}
}

// TestTemplatesAreCovered holds every template to cases that people wrote, and
// to those that Draft writes for it; nothing in a template is odd.
func TestTemplatesAreCovered(t *testing.T) {
	for name, a := range templates(t) {
		text, err := os.ReadFile("testdata/" + name + ".tests.yaml")
		if err != nil {
			t.Fatal(err)
		}
		covered(t, name, run(t, a, string(text)))
		drafted, err := Draft(a)
		if err != nil {
			t.Fatal(err)
		}
		covered(t, "draft of "+name, run(t, a, string(drafted)))
		if warnings, err := Advise(a, testNow); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, %v", name, warnings, err)
		}
	}
}

// head begins a file with one case, to which tests add lines.
const head = `at: 2027-06-15
cases:
  - name: one
    from: bank
    topic: indicators
`

// TestEachDifferenceIsTold fails a case in every way, and reads what is said.
func TestEachDifferenceIsTold(t *testing.T) {
	const ask = head + "    object: {type: indicator, marking: TLP:AMBER}\n"
	const answer = "allow by agreement, clause 1: Every party shares what it knows of attacks with all the others."
	for name, c := range map[string]struct{ text, says string }{
		"outcome":   {ask + "    to: cert\n    expect: withhold\n", "cert: expected withhold; the answer is " + answer},
		"clause":    {ask + "    to: cert\n    expect: allow\n    clause: 2\n", "cert: expected allow by clause 2; the answer is " + answer},
		"no clause": {ask + "    to: cert\n    expect: allow\n    clause: ''\n", "cert: expected allow by no clause; the answer is " + answer},
		"layer":     {ask + "    expect: allow\n    because: floor\n", "expected allow by floor; the answer is " + answer},
		"all of it": {ask + "    to: cert\n    expect: withhold\n    because: agreement\n    clause: 2\n", "cert: expected withhold by agreement, clause 2; the answer is " + answer},
		"readers":   {ask + "    expect: allow\n    readers: cert\n", "expected that cert may read, and cert, vendor may; the answer is " + answer},
		"nobody":    {ask + "    expect: allow\n    readers: []\n", "expected that nobody may read, and cert, vendor may; the answer is " + answer},
		"the second of two": {strings.Replace(ask, "indicator,", "incident,", 1) + "    to: [bank, vendor]\n    expect: allow\n",
			"vendor: expected allow; the answer is withhold by agreement, clause 2: Incidents have a topic of their own and are not told on that of indicators."},
	} {
		r := run(t, alliance(t), c.text)
		if r.Failed != 1 || r.Passed != 0 || len(r.Cases[0].Differences) != 1 {
			t.Errorf("%s: %+v", name, r.Cases)
			continue
		}
		got := strings.Replace(r.Cases[0].Differences[0], "vendor, cert", "cert, vendor", 1) // by id
		if got != c.says {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.says)
		}
		if r.Cases[0].Line != 3 || r.Cases[0].File != "tests.yaml" {
			t.Errorf("%s: is said to stand at %s:%d", name, r.Cases[0].File, r.Cases[0].Line)
		}
		if r.Coverage.Covered != 0 || r.Coverage.Percent != 0 {
			t.Errorf("%s: a case that fails shows %+v", name, r.Coverage)
		}
	}
}

// TestForbiddingCountsForOneReader gives the point to a clause that decided for
// one reader of a topic, though another one named the verdict.
func TestForbiddingCountsForOneReader(t *testing.T) {
	a := alliance(t)
	first := a.Clauses[1]
	first.Number, first.Types, first.To.Parties = "0", []string{"incident"}, []string{"cert"}
	a.Clauses = append([]protocol.Clause{first}, a.Clauses...)
	r := run(t, a, head+"    object: {type: incident, marking: TLP:GREEN}\n    expect: refuse\n    clause: \"0\"\n    readers: []\n")
	for _, p := range r.Coverage.Points[:3] {
		if p.Covered != (p.Clause != "1") {
			t.Errorf("clause %s: covered %v, by %q", p.Clause, p.Covered, p.By)
		}
	}
}

// TestDatesAreShownOnTheirFarSide gives the point of a date to a case whose
// answer hangs on it.
func TestDatesAreShownOnTheirFarSide(t *testing.T) {
	a := alliance(t)
	a.Clauses[0].Starts, a.Clauses[0].Ends = testFrom.AddDate(0, 1, 0), testFrom.AddDate(0, 6, 0)
	a.LegalBasis.Until = testFrom.AddDate(0, 11, 0)
	var b strings.Builder
	b.WriteString("cases:\n")
	ask := func(at, expect, clause string) string {
		b.WriteString("  - name: at " + at + "\n    object: {type: indicator, marking: TLP:GREEN}\n    from: bank\n    to: cert\n    topic: indicators\n" +
			"    at: " + at + "\n    expect: " + expect + "\n    clause: \"" + clause + "\"\n")
		r := run(t, a, b.String())
		var missing []string
		for _, p := range r.Coverage.Missing() {
			if p.Clause == "1" || p.Clause == "" {
				missing = append(missing, p.Clause+p.Condition)
			}
		}
		if r.Failed > 0 {
			t.Errorf("%+v", r.Cases)
		}
		return strings.Join(missing, " ")
	}
	for _, step := range [][4]string{
		{"2027-02-01", "allow", "1", "1from-date 1until-date from until legal-basis"},
		{"2027-01-31T23:59:59Z", "withhold", "", "1until-date from until legal-basis"},
		{"2027-07-01", "withhold", "", "from until legal-basis"},
		{"2027-12-01", "refuse", "", "from until"},
		{"2028-01-01", "refuse", "", "from"},
		{"2026-12-31", "refuse", "", ""},
	} {
		if got := ask(step[0], step[1], step[2]); got != step[3] {
			t.Errorf("after %s: %q is missing, not %q", step[0], got, step[3])
		}
	}
}

// TestObjectsInEveryForm asks of one object in each of its forms.
func TestObjectsInEveryForm(t *testing.T) {
	const json = `{"type":"indicator","spec_version":"2.1","id":"indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01","created":"2027-01-01T00:00:00.000Z","modified":"2027-01-01T00:00:00.000Z","pattern":"[ipv4-addr:value = '198.51.100.77']","pattern_type":"stix","valid_from":"2027-01-01T00:00:00Z","object_marking_refs":["marking-definition--826578e1-40ad-459f-bc73-ede076f81f37"]}`
	for name, c := range map[string]struct{ object, expect string }{
		"short":    {"object: {type: indicator, marking: TLP:AMBER+STRICT}", "withhold"},
		"no label": {"object:\n      type: indicator", "allow"},
		"one line": {"object: '" + strings.ReplaceAll(json, "'", "''") + "'", "withhold"},
		"text":     {"object: |\n      " + json, "withhold"},
		"fields": {`object:
      type: indicator
      spec_version: "2.1"
      id: indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01
      created: 2027-01-01T00:00:00.000Z
      modified: 2027-01-01T00:00:00.000Z
      pattern: "[ipv4-addr:value = '198.51.100.77']"
      pattern_type: stix
      valid_from: 2027-01-01T00:00:00Z
      confidence: 80
      revoked: false
      object_marking_refs: [marking-definition--826578e1-40ad-459f-bc73-ede076f81f37]`, "withhold"},
		"file":                       {"object: {file: some.json#indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01}", "allow"},
		"file below":                 {"object: {file: below/some.json#indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01}", "allow"},
		"a statement of the file":    {"object: {file: some.json#indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a02}", "allow"},
		"a statement that is absent": {"object: {file: other.json#indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a02}", "withhold"},
	} {
		r := run(t, alliance(t), head+"    to: cert\n    expect: "+c.expect+"\n    "+c.object+"\n")
		if r.Failed > 0 {
			t.Errorf("%s: %q", name, r.Cases[0].Differences)
		}
	}
}

// testSamples is the folder of the cases: a bundle with a marking of its own, and
// an object that has it where it is not.
func testSamples() fstest.MapFS {
	const rest = `,"spec_version":"2.1","created":"2027-01-01T00:00:00.000Z","modified":"2027-01-01T00:00:00.000Z","pattern":"[ipv4-addr:value = '198.51.100.77']","pattern_type":"stix","valid_from":"2027-01-01T00:00:00Z"`
	const plain = `{"type":"indicator","id":"indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01"` + rest + `}`
	const marked = `{"type":"indicator","id":"indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a02"` + rest + `,"object_marking_refs":["marking-definition--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a03"]}`
	const statement = `{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a03","created":"2027-01-01T00:00:00.000Z","definition_type":"statement","definition":{"statement":"ours"}}`
	bundle := &fstest.MapFile{Data: []byte(`{"type":"bundle","id":"bundle--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a04","objects":[` + marked + `,` + plain + `,` + statement + `]}`)}
	return fstest.MapFS{
		"some.json": bundle, "below/some.json": bundle, "other.json": {Data: []byte(marked)}, "broken.json": {Data: []byte(`{"type":"indicator"}`)},
		"packed.json": {Data: []byte{0x1f, 0x8b, 8, 0}}, "large.json": {Data: make([]byte, maxSample+1)},
	}
}
