package protocol

import (
	"slices"
	"strings"
	"testing"
)

func testValues(who ...string) TemplateValues {
	v := TemplateValues{Name: "some-agreement", From: documentsStart(), Until: documentsStart().AddDate(1, 0, 0), Secret: [32]byte{1}}
	for _, w := range who {
		m := testMember(w)
		v.Parties = append(v.Parties, Party{Handle: m.Handle, Name: m.Name, ID: m.Member, Root: m.Root, Kind: "company", Country: "NO", Roles: []string{"reader", "writer"}})
	}
	return v
}

func TestTemplatesAreAgreements(t *testing.T) {
	for template, who := range map[string][]string{
		AllianceTemplate: {"bank", "vendor", "cert"}, ExchangeTemplate: {"bank", "cert"}, FeedTemplate: {"cert"},
	} {
		text, err := RenderTemplate(template, testValues(who...))
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		a := mustAgreement(t, string(text))
		if len(a.Parties) != len(who) || a.Parties[0].Country != "NO" || 2*a.Amend <= len(who) || len(a.Clauses) == 0 || len(a.Topics) == 0 {
			t.Errorf("%s: read %+v", template, a)
		}
		if (a.Visibility == Public) != (template == FeedTemplate) {
			t.Errorf("%s is %s", template, a.Visibility)
		}
		for number, line := range strings.Split(string(text), "\n") {
			if len(line) > 100 {
				t.Errorf("%s, line %d has %d characters", template, number+1, len(line))
			}
		}
		for field := range strings.FieldsSeq("kind format name title version visibility dates legal-basis amend community own-use parties topics clauses") {
			if !strings.Contains(string(text), "\n"+field+":") {
				t.Errorf("%s does not show %q", template, field)
			}
		}
	}
}

func TestTemplatesRefuseWhatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		template string
		change   func(*TemplateValues)
		says     string
	}{
		"unknown":        {"alliances", func(*TemplateValues) {}, `did you mean "alliance"`},
		"one ally":       {AllianceTemplate, func(v *TemplateValues) { v.Parties = v.Parties[:1] }, "two parties or more, not 1"},
		"three exchange": {ExchangeTemplate, func(*TemplateValues) {}, "two parties, not 3"},
		"nobody":         {FeedTemplate, func(v *TemplateValues) { v.Parties = nil }, "no party"},
		"no secret":      {AllianceTemplate, func(v *TemplateValues) { v.Secret = [32]byte{} }, "the secret is zero"},
		"dates":          {AllianceTemplate, func(v *TemplateValues) { v.Until = v.From }, "is not after"},
		"name":           {AllianceTemplate, func(v *TemplateValues) { v.Name = "Bad Name" }, "no short name"},
		"a hostile name": {AllianceTemplate, func(v *TemplateValues) { v.Parties[0].Name = "x\"\n    kind: cert" }, "not closed"},
		"kind":           {FeedTemplate, func(v *TemplateValues) { v.Parties[0].Kind = "" }, "no value"},
	} {
		v := testValues("bank", "vendor", "cert")
		c.change(&v)
		if text, err := RenderTemplate(c.template, v); KindOf(err) != Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q; text %q", name, err, c.says, text)
		}
	}
}

func TestNextVersionContinues(t *testing.T) {
	first := []byte(testAgreement())
	a := mustAgreement(t, string(first))
	second, err := NextVersion([32]byte{2}, first)
	if err != nil {
		t.Fatal(err)
	}
	b := mustAgreement(t, string(second))
	if b.ID != a.ID || b.Version != 2 || !slices.Equal(b.Previous, []Hash{a.Hash}) || b.secret != (Hash{2}) || len(b.Clauses) != len(a.Clauses) {
		t.Errorf("read %+v", b)
	}
	if !strings.Contains(string(second), "topics: [incidents]   # a comment") {
		t.Error("comments were lost")
	}
	third, err := NextVersion([32]byte{3}, second)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NextVersion([32]byte{4}, second)
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := NextVersion([32]byte{5}, third, other)
	if err != nil {
		t.Fatal(err)
	}
	c := mustAgreement(t, string(resolved))
	if c.Version != 4 || len(c.Previous) != 2 || strings.Count(string(resolved), "previous:") != 1 || strings.Count(string(resolved), "\nagreement:") != 1 {
		t.Errorf("read %+v", c)
	}
	if _, err := NextVersion([32]byte{5}); KindOf(err) != Invalid {
		t.Error(err)
	}
}
