package protocol

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// testRules uses every field of local rules.
const testRules = `kind: entente/local-rules
format: 1
title: What we keep back
clauses:
  - number: 1
    text: Nothing above GREEN to the vendor.
    effect: forbid
    agreements: [harbour-watch, pact]
    to: {parties: [vendor]}
    markings: [TLP:AMBER, TLP:AMBER+STRICT]
  - number: "2.1"
    text: No addresses with persons abroad this year.
    effect: forbid
    from: {kinds: [company], roles: [analyst]}
    to: {countries: [US]}
    topics: [indicators]
    types: [ipv4-addr, x-badge]
    max-marking: TLP:GREEN
    from-date: 2026-03-01
    until-date: 2027-01-01
    conditions: {classes: [personal-data], max-pap: PAP:GREEN, context: true, confidence: 10, age: 30 days}
    unless: {classes: [operational], max-pap: PAP:CLEAR, purposes: [oversight], context: true, confidence: 80, age: 6 hours}
  - number: 3
    text: Nothing to the public.
    effect: forbid
    to: {public: true}
`

func TestLocalRulesAreRead(t *testing.T) {
	rules, err := ParseLocalRules([]byte(testRules))
	if err != nil {
		t.Fatal(err)
	}
	if rules.Hash != PayloadHash([]byte(testRules)) || rules.Title != "What we keep back" || len(rules.Clauses) != 3 {
		t.Fatalf("%+v", rules)
	}
	c := rules.Clauses[1]
	if c.Permit || c.Line != 11 || c.Number != "2.1" || c.If.Classes != PersonalData || c.If.Age != (Period{Count: 30, Unit: Days}) ||
		c.Unless == nil || c.Unless.Classes != Operational || c.Unless.Confidence != 80 || c.Unless.Purposes[0] != "oversight" ||
		!c.Starts.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) || c.Max != Green || c.Types[1] != "x-badge" {
		t.Errorf("%+v", c)
	}
	if !rules.Clauses[2].To.Public || rules.Clauses[0].Unless != nil {
		t.Errorf("%+v", rules.Clauses)
	}
	first := rules.Clauses[0]
	if !first.Binds(AgreementID{1}, "pact") || first.Binds(AgreementID{1}, "other") || !c.Binds(AgreementID{1}, "other") {
		t.Error("a clause binds under the agreements that it names, or all")
	}
	id := AgreementID{7}
	first.Agreements = []string{id.String()}
	if !first.Binds(id, "whatever") || first.Binds(AgreementID{8}, "whatever") {
		t.Error("an agreement may be named by its id")
	}
	if !IsLocalRules([]byte(testRules)) || IsLocalRules([]byte(testAgreement())) || IsLocalRules([]byte("kind: [")) {
		t.Error("local rules are told from other texts by their kind")
	}
}

// TestLocalRulesAreRefused holds each refusal to its words and its place.
func TestLocalRulesAreRefused(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i+1)
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		old, new string
		line     int
		column   int
		want     string
		kind     Kind
	}{
		"permit":             {"effect: forbid\n    agreements", "effect: permit\n    agreements", 7, 13, "local rules only narrow", Invalid},
		"unknown effect":     {"effect: forbid\n    agreements", "effect: forbit\n    agreements", 7, 13, `did you mean "forbid"?`, Invalid},
		"unknown field":      {"agreements: [harbour", "agrements: [harbour", 8, 5, `did you mean "agreements"?`, Invalid},
		"unknown type":       {"ipv4-addr, x-badge", "ipv4-adr, x-badge", 17, 13, `did you mean "ipv4-addr"?`, Invalid},
		"unknown class":      {"classes: [personal-data]", "classes: [personal]", 21, 28, "unknown subject class", Invalid},
		"unknown purpose":    {"purposes: [oversight]", "purposes: [sport]", 22, 69, "unknown purpose", Invalid},
		"unknown kind":       {"kinds: [company]", "kinds: [firm]", 14, 20, "unknown kind of party", Invalid},
		"unknown marking":    {"[TLP:AMBER, TLP", "[TLP:WHITE, TLP", 10, 16, "unknown marking", Invalid},
		"duplicate number":   {`number: "2.1"`, "number: 1", 11, 13, "two clauses have the number 1; the first stands in line 5", Invalid},
		"duplicate field":    {"    effect: forbid\n    agreements", "    effect: forbid\n    effect: forbid\n    agreements", 8, 5, `"effect"`, Invalid},
		"dates reversed":     {"until-date: 2027-01-01", "until-date: 2026-02-01", 20, 17, "is not after", Invalid},
		"no date":            {"until-date: 2027-01-01", "until-date: tomorrow", 20, 17, "is no time", Invalid},
		"obligations":        {"    to: {public: true}", "    obligations: {retain: 1 day}", 26, 5, `has no field "obligations"`, Invalid},
		"scope":              {"    to: {public: true}", "    scope: everywhere", 26, 5, `has no field "scope"`, Invalid},
		"contribution":       {"confidence: 80", "contribution: gives", 22, 96, `has no field "contribution"`, Invalid},
		"purposes in forbid": {"confidence: 10,", "purposes: [oversight],", 21, 89, "under \"unless\"", Invalid},
		"empty unless":       {"unless: {classes: [operational], max-pap: PAP:CLEAR, purposes: [oversight], context: true, confidence: 80, age: 6 hours}", "unless: {}", 22, 13, "no condition stands here", Invalid},
		"empty choice":       {"to: {countries: [US]}", "to: {}", 15, 9, "leave \"to\" out to mean everybody", Invalid},
		"empty list":         {"agreements: [harbour-watch, pact]", "agreements: []", 8, 17, "the list is empty", Invalid},
		"a name twice":       {"[harbour-watch, pact]", "[pact, pact]", 8, 24, "stands in this list twice", Invalid},
		"public with others": {"to: {public: true}", "to: {public: true, countries: [US]}", 26, 18, "the public has no handle", Invalid},
		"from the public":    {"from: {kinds: [company], roles: [analyst]}", "from: {public: true}", 14, 20, "may name the public", Invalid},
		"public with purpose": {"    to: {public: true}", "    to: {public: true}\n    unless: {purposes: [oversight]}", 27, 13,
			"the public states no purpose", Invalid},
		"never applies":   {"markings: [TLP:AMBER, TLP:AMBER+STRICT]", "markings: [TLP:RED]\n    max-marking: TLP:GREEN", 10, 15, "never applies", Invalid},
		"no clauses":      {testRules[strings.Index(testRules, "clauses:"):], "", 1, 1, `lacks the field "clauses"`, Invalid},
		"another kind":    {"entente/local-rules", "entente/local-rule", 1, 7, `did you mean "entente/local-rules"?`, Invalid},
		"another format":  {"format: 1", "format: 2", 2, 9, "only format 1", Invalid},
		"homoglyph":       {"parties: [vendor]", "parties: [v\u0435ndor]", 9, 20, `"v\u0435ndor" is no short name`, Invalid},
		"hidden letter":   {"parties: [vendor]", "parties: [ven\u200bdor]", 9, 23, "U+200B", Invalid},
		"anchor":          {"to: {parties: [vendor]}", "to: &all {parties: [vendor]}", 9, 9, "&", Invalid},
		"alias":           {"to: {parties: [vendor]}", "to: *all", 9, 9, "*", Invalid},
		"tag":             {"title: What", "title: !!str What", 3, 8, "!", Invalid},
		"deep nesting":    {"title: What we keep back", "title: " + strings.Repeat("[", 20) + strings.Repeat("]", 20), 3, 23, "16", Invalid},
		"brackets":        {"title: What we keep back", "title: " + strings.Repeat("[", 1<<18), 3, 23, "16", Invalid},
		"tab":             {"title: What", "title:\tWhat", 3, 7, "U+0009", Invalid},
		"long":            {"title: What we keep back", "# " + strings.Repeat("x", 1<<20), 0, 0, "1048576", Limit},
		"too many":        {testRules[strings.Index(testRules, "  - number: 1"):], many(maxLocal+1, "- {number: %d, text: t, effect: forbid}\n"), 5, 1, "1001 entries; the limit is 1000", Invalid},
		"agreements":      {"[harbour-watch, pact]", "[" + strings.TrimSuffix(many(maxAgreements+1, "a%d, "), ", ") + "]", 8, 17, "201 entries; the limit is 200", Invalid},
		"boolean handles": {"parties: [vendor]", "parties: [null]", 9, 20, "has a meaning of its own", Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(testRules, c.old, c.new, 1)
			if text == testRules {
				t.Fatal("the change changes nothing")
			}
			_, err := ParseLocalRules([]byte(text))
			if err == nil || KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			var fault *FaultError
			if errors.As(err, &fault) != (c.line > 0) {
				t.Fatalf("no place: %v", err)
			}
			if c.line > 0 && (fault.Line != c.line || fault.Column != c.column) {
				t.Errorf("at %d:%d, want %d:%d\n%v", fault.Line, fault.Column, c.line, c.column, err)
			}
		})
	}
}

func FuzzParseLocalRules(f *testing.F) {
	fuzzTexts(f)
	f.Add([]byte(testRules))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := ParseLocalRules(text)
		if err != nil {
			checkFault(t, err)
			return
		}
		for _, c := range rules.Clauses {
			if c.Permit || c.Then != nil || c.Everywhere || c.Survives || len(c.If.Purposes) > 0 || c.If.Contribution != "" {
				t.Fatalf("more than a clause that forbids: %+v", c)
			}
		}
	})
}
