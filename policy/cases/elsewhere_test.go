package cases

import (
	"strings"
	"testing"

	"entente/protocol"
)

// outsiders is the alliance with clauses that follow what it told out of it.
func outsiders(t *testing.T) *protocol.Agreement {
	a := alliance(t)
	a.Clauses = append(a.Clauses,
		protocol.Clause{Number: "8", Line: 8, Text: "Nothing reaches platforms of the Netherlands.", To: protocol.Selector{Kinds: []string{"platform"}, Countries: []string{"NL"}}, Everywhere: true},
		protocol.Clause{Number: "9", Line: 9, Text: "No politics.", If: protocol.Conditions{Classes: protocol.Political}, Everywhere: true},
	)
	return a
}

const outsideCases = `at: 2027-06-15
cases:
  - name: no platform there
    object: {type: indicator, marking: TLP:GREEN}
    from: bank
    topic: indicators
    elsewhere: {kind: platform, country: NL}
    expect: withhold
    clause: "8"
  - name: a platform of another country
    object: {type: indicator, marking: TLP:GREEN}
    from: bank
    topic: indicators
    elsewhere: {kind: platform, country: NO}
    expect: allow
    clause: ""
  - name: another kind
    object: {type: indicator, marking: TLP:GREEN}
    from: bank
    topic: indicators
    elsewhere: {kind: vendor, country: NL, roles: [reader]}
    expect: allow
  - name: the public could be a platform
    object: {type: indicator, marking: TLP:CLEAR}
    from: bank
    topic: indicators
    elsewhere: {public: true}
    expect: withhold
    clause: "8"
  - name: the floor holds there as well
    object: {type: indicator, marking: TLP:RED}
    from: bank
    topic: indicators
    elsewhere: {kind: vendor}
    expect: withhold
    because: floor
    clause: ""
  - name: nobody gets politics, also when it is over
    object: {type: indicator, marking: TLP:GREEN, classes: [political]}
    from: bank
    topic: indicators
    at: 2040-01-01
    elsewhere: {kind: cert}
    expect: withhold
    clause: "9"
`

func TestElsewhere(t *testing.T) {
	f, err := Parse("outside.yaml", []byte(outsideCases))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), outsiders(t), Source{File: f})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Cases {
		if !r.Passed {
			t.Errorf("%s: %s", r.Case, r.Differences)
		}
	}
	shown := map[string]bool{}
	for _, p := range report.Coverage.Points {
		shown[p.Clause+p.Condition] = p.Covered
	}
	if !shown["8"] || !shown["8scope"] || !shown["9"] || !shown["9scope"] || shown["1"] {
		t.Errorf("shown: %v", shown)
	}
	// What is not forbidden everywhere stays here, and then nothing shows it.
	a := outsiders(t)
	a.Clauses[len(a.Clauses)-2].Everywhere = false
	if report, err = Run(t.Context(), a, Source{File: f}); err != nil || report.Failed != 2 {
		t.Errorf("without the scope %d failed, %v", report.Failed, err)
	}
	warnings, err := Advise(outsiders(t), a.From)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if w.Clause == "8" || w.Clause == "9" {
			t.Errorf("warned of clause %s: %s", w.Clause, w.Text)
		}
	}
}

func TestElsewhereRefusals(t *testing.T) {
	for says, text := range map[string]string{
		"has a kind, and may have":          "{}",
		"has a kind, and may":               "{country: NL}",
		"or is \"public: true\" alone":      "{public: true, kind: cert}",
		`"bankk" is no kind of party`:       "{kind: bankk}",
		`unknown field "kinds"`:             "{kinds: [cert]}",
		"do not go with \"elsewhere\"":      "{kind: cert}\n    to: cert",
		"\"to\", \"readers\" and":           "{kind: cert}\n    readers: [cert]",
		"another agreement says who reads":  "{kind: cert}\n    obligations: {}",
		"it is who reads that states one":   "{kind: cert}\n    purpose: oversight",
		"one word is expected here":         "{kind: [cert]}",
		`"maybe" is neither true nor false`: "{public: maybe}",
	} {
		text = strings.Replace(whole, "    to: cert\n", "    elsewhere: "+text+"\n", 1)
		if _, err := Parse("bad.yaml", []byte(text)); protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}
