package main

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"entente/policy/cases"
	"entente/protocol"
)

// TestSamplesAreCovered holds every agreement of the sample to its cases, which
// show all of it, and to have nothing odd.
func TestSamplesAreCovered(t *testing.T) {
	from := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	parties := map[string][]string{
		"harbour-watch": {"bank company", "vendor vendor", "cert cert"}, "public-warnings": {"cert cert", "vendor vendor"},
		"bench": {"sender company", "receiver company"},
	}
	files, err := fs.Glob(sample, "sample/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := fs.Sub(sample, "sample")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".tests.yaml") {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(file, "sample/"), ".yaml")
		terms := demoTerms{From: from, Until: from.AddDate(1, 0, 0)}
		for _, p := range parties[name] {
			handle, kind, _ := strings.Cut(p, " ")
			terms.Parties = append(terms.Parties, newAlly(t, handle, kind))
		}
		text, err := terms.render(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := protocol.ParseAgreement(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err = fs.ReadFile(samples, name+".tests.yaml")
		if err != nil {
			t.Errorf("%s has no cases: %v", name, err)
			continue
		}
		f, err := cases.Parse(name+".tests.yaml", text)
		if err != nil {
			t.Error(err)
			continue
		}
		report, err := cases.Run(t.Context(), a, cases.Source{File: f, Samples: samples})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, one := range report.Cases {
			if !one.Passed {
				t.Errorf("%s:%d: %s: %v", one.File, one.Line, one.Case, one.Differences)
			}
		}
		for _, p := range report.Coverage.Missing() {
			t.Errorf("%s: no case shows %s: %s", name, pointName(p), p.Text)
		}
		warnings, err := cases.Advise(a, from)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, %v", name, warnings, err)
		}
		tested++
	}
	if tested != len(parties) {
		t.Errorf("%d agreements were tested, not %d", tested, len(parties))
	}
}

// newAlly makes a member without a node.
func newAlly(t *testing.T, handle, kind string) *ally {
	t.Helper()
	keys, err := newKeyring(strings.NewReader(strings.Repeat(handle+" of the tests ", 40)))
	if err != nil {
		t.Fatal(err)
	}
	_, _, parsed, err := firstRecords(keys, handle, handle, []string{"/ip4/192.0.2.1/tcp/4710"}, []string{"/ip4/192.0.2.1/tcp/4711"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &ally{handle: handle, name: handle, kind: kind, parsed: parsed}
}
