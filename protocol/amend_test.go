package protocol

import (
	"slices"
	"strings"
	"testing"
)

// amendable is a second version with everything that names a party.
const amendable = `# Written by hand.
kind: entente/agreement
format: 1
name: harbour
title: Harbour
version: 2
agreement: "1111111111111111111111111111111111111111111111111111111111111111"
previous: ["2222222222222222222222222222222222222222222222222222222222222222"]
visibility: private
secret: "3333333333333333333333333333333333333333333333333333333333333333"
dates: {from: 2026-01-01, until: 2027-01-01}
legal-basis: {text: Some law.}
amend: 3
own-use: stop
# Who may stop whom.
suspend: {parties: [cert, vendor]}
parties:
PARTIES
# What it is about.
topics:
  - name: iocs
    default-marking: TLP:AMBER
contributions:
  - {name: gives, text: Who takes gives., objects: 10, within: 30 days, signers: 2, entitles: 30 days}
# What holds.
clauses:
  - number: "1"
    text: |
      Share, and
      # this is no comment.
    effect: permit
    from: {parties: [bank, vendor, "cert"]}
  - number: "2" # theirs
    text: The vendor alone.
    effect: permit
    to:
      parties:
        - vendor

  - number: "3"
    text: Not these two.
    effect: forbid
    types: [malware]
    to:
      parties:
        - vendor
        - cert
`

func amendableText(t *testing.T) string {
	var w yamlWriter
	for _, p := range testValues("bank", "vendor", "cert").Parties {
		w.party(p)
	}
	text := strings.Replace(amendable, "PARTIES\n", w.String(), 1)
	mustAgreement(t, text)
	return text
}

func TestAmendExpels(t *testing.T) {
	text := amendableText(t)
	vendor := testMember("vendor")
	cut := Cut{Member: vendor.Member, Log: Hash{7}, Position: Position{Sequence: 9, Head: Hash{8}}}
	out, notes, err := Changes{Expel: []string{"vendor"}, Cuts: []Cut{cut}}.Apply([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a := mustAgreement(t, string(out))
	if len(a.Parties) != 2 || a.Amend != 2 || a.Scores[0].Signers != 1 || !slices.Equal(a.Cuts, []Cut{cut}) || !slices.Equal(a.Suspend.Parties, []string{"cert"}) {
		t.Errorf("read %+v", a)
	}
	if len(a.Clauses) != 2 || !slices.Equal(a.Clauses[0].From.Parties, []string{"bank", "cert"}) || !slices.Equal(a.Clauses[1].To.Parties, []string{"cert"}) {
		t.Errorf("clauses %+v", a.Clauses)
	}
	if strings.Contains(string(out), "vendor\n") || !strings.Contains(string(out), "# this is no comment.\n") || !strings.Contains(string(out), "\n# What it is about.\n") || !strings.Contains(string(out), "\n# What holds.\n") {
		t.Errorf("the text:\n%s", out)
	}
	said := strings.Join(notes, "\n")
	for _, want := range []string{"clause 2 named vendor alone and is left out", "signatures needed for a version: 2, and no longer 3", "signers of the contribution gives: 1"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said: %s", want, said)
		}
	}

	// A cut stays as it is when another party leaves.
	next, _, err := Changes{Expel: []string{"cert"}, Admit: testValues("police").Parties, Cuts: []Cut{{Member: testMember("cert").Member, Log: Hash{6}, Position: Position{Sequence: 1, Head: Hash{5}}}}}.Apply(out)
	if err != nil {
		t.Fatal(err)
	}
	if a := mustAgreement(t, string(next)); len(a.Cuts) != 2 || a.Cuts[0] != cut || a.Suspend != nil || len(a.Clauses) != 1 {
		t.Errorf("read %+v", a)
	}
}

func TestAmendAdmitsAndSuspends(t *testing.T) {
	text := amendableText(t)
	police := testValues("police").Parties[0]
	out, _, err := Changes{Admit: []Party{police}, Suspend: []string{"vendor"}}.Apply([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a := mustAgreement(t, string(out))
	if len(a.Parties) != 4 || a.Parties[3].ID != police.ID || a.Parties[3].Root != police.Root || !a.Parties[1].Suspended || a.Parties[0].Suspended || a.Amend != 3 {
		t.Errorf("read %+v", a)
	}
	again, _, err := Changes{Reinstate: []string{"vendor"}, Expel: []string{"police"}}.Apply(out)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != text {
		t.Errorf("there and back is another text:\n%s", again)
	}
	if out, notes, err := (Changes{Admit: testValues("police", "tech", "desk").Parties}).Apply([]byte(text)); err != nil || len(notes) != 1 || mustAgreement(t, string(out)).Amend != 4 {
		t.Errorf("three more: %v, %q", err, notes)
	}
}

func TestAmendRefuses(t *testing.T) {
	text := amendableText(t)
	oneLine := strings.Replace(text, "parties:\n", "parties: [", 1)
	for name, c := range map[string]struct {
		text    string
		changes Changes
		says    string
	}{
		"a stranger leaves":  {text, Changes{Expel: []string{"police"}}, "they are bank, vendor, cert"},
		"a party comes":      {text, Changes{Admit: testValues("bank").Parties}, "a party already"},
		"twice suspended":    {text, Changes{Suspend: []string{"bank", "bank"}}, "suspended already"},
		"not suspended":      {text, Changes{Reinstate: []string{"bank"}}, "not suspended"},
		"all but one leave":  {text, Changes{Expel: []string{"bank", "vendor"}}, ""},
		"no agreement":       {"kind: [", Changes{Expel: []string{"bank"}}, ""},
		"no document at all": {oneLine, Changes{Expel: []string{"bank"}}, ""},
		"a kind is missing":  {text, Changes{Admit: []Party{{Handle: "desk"}}}, ""},
	} {
		out, _, err := c.changes.Apply([]byte(c.text))
		if err == nil || out != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzAmend: whatever the text, a change gives an agreement or an error.
func FuzzAmend(f *testing.F) {
	var w yamlWriter
	for _, p := range testValues("bank", "vendor", "cert").Parties {
		w.party(p)
	}
	f.Add(strings.Replace(amendable, "PARTIES\n", w.String(), 1), "vendor")
	f.Add("parties: [{handle: a}, {handle: b}]\nclauses: [{from: {parties: [a]}}]\n", "a")
	f.Add("parties:\n  -\n    handle: a\n", "a")
	f.Fuzz(func(t *testing.T, text, handle string) {
		for _, c := range []Changes{{Expel: []string{handle}}, {Suspend: []string{handle}}, {Reinstate: []string{handle}}, {Admit: []Party{{Handle: handle, Name: handle, Kind: "cert"}}}} {
			if out, _, err := c.Apply([]byte(text)); err == nil {
				if _, err := ParseAgreement(out); err != nil {
					t.Errorf("%v", err)
				}
			}
		}
	})
}
