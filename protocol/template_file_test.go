package protocol

import (
	"strings"
	"testing"
)

// TestFilledAgreementIsItsOwn begins an agreement with the terms of a signed one.
func TestFilledAgreementIsItsOwn(t *testing.T) {
	first := []byte(testAgreement())
	second, err := NextVersion([32]byte{2}, first)
	if err != nil {
		t.Fatal(err)
	}
	a := mustAgreement(t, string(second))
	v := testValues("bank", "vendor", "cert")
	for i := range v.Parties { // other members, who take the places of those
		v.Parties[i].Handle, v.Parties[i].Name = a.Parties[i].Handle, "Another "+a.Parties[i].Handle
		v.Parties[i].ID[0]++
		v.Parties[i].Country, v.Parties[i].Roles = "", nil
	}
	text, err := FillAgreement(second, v)
	if err != nil {
		t.Fatal(err)
	}
	b := mustAgreement(t, string(text))
	if b.Version != 1 || b.ID == a.ID || len(b.Previous) > 0 || b.Name != "some-agreement" || b.secret != (Hash{1}) || b.Title != a.Title || b.From != a.From || len(b.Clauses) != len(a.Clauses) {
		t.Errorf("read %+v", b)
	}
	for i, p := range b.Parties {
		was := a.Parties[i]
		if p.ID != v.Parties[i].ID || p.Root != v.Parties[i].Root || p.Name != "Another "+was.Handle || p.Kind != was.Kind || p.Country != was.Country || len(p.Roles) != len(was.Roles) {
			t.Errorf("party %+v, which was %+v", p, was)
		}
	}
	if !strings.Contains(string(text), "topics: [incidents]   # a comment") {
		t.Error("comments were lost")
	}
}

func TestFillRefusesOtherParties(t *testing.T) {
	text := testAgreement()
	for name, c := range map[string]struct {
		text   string
		change func(*TemplateValues)
		says   string
	}{
		"one is missing":  {text, func(v *TemplateValues) { v.Parties = v.Parties[:2] }, `no member record of party "cert"`},
		"one too many":    {text, func(v *TemplateValues) { v.Parties = append(v.Parties, Party{Handle: "guest"}) }, `"guest" is no party of the terms`},
		"another handle":  {text, func(v *TemplateValues) { v.Parties[0].Handle = "banque" }, `no member record of party "bank"`},
		"a hostile name":  {text, func(v *TemplateValues) { v.Parties[0].Name = "x\"\n    kind: cert" }, "not closed"},
		"a bad name":      {text, func(v *TemplateValues) { v.Name = "Bad Name" }, "no short name"},
		"no secret":       {text, func(v *TemplateValues) { v.Secret = [32]byte{} }, "the secret is zero"},
		"no agreement":    {"kind: x\n", func(*TemplateValues) {}, "kind"},
		"the same record": {text, func(v *TemplateValues) { v.Parties[1].ID = v.Parties[0].ID }, "has this id already"},
	} {
		v := testValues("bank", "vendor", "cert")
		c.change(&v)
		if out, err := FillAgreement([]byte(c.text), v); KindOf(err) != Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q; text %q", name, err, c.says, out)
		}
	}
	packed := replaced(t, text, text[strings.Index(text, "parties:"):strings.Index(text, "topics:")],
		"parties:\n  - {handle: bank, name: x, id: "+strings.Repeat("1", 64)+", root: "+testMember("bank").Root.String()+", kind: company, country: NL, roles: [reader]}\n"+
			"  - {handle: cert, name: y, id: "+strings.Repeat("2", 64)+", root: "+testMember("cert").Root.String()+", kind: cert}\n")
	if a, err := ParseAgreement([]byte(packed)); err == nil {
		v := testValues("bank", "cert")
		if _, err := FillAgreement([]byte(packed), v); KindOf(err) != Invalid || !strings.Contains(err.Error(), "a line of its own") && !strings.Contains(HintOf(err), "a line of its own") {
			t.Errorf("packed parties of %s: %v", a.Name, err)
		}
	} else {
		t.Fatal(err)
	}
}
