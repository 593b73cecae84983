package cases

import (
	"context"
	"errors"
	"strings"
	"testing"

	"entente/protocol"
)

const whole = `agreement: tested
at: 2027-06-15T12:00:00Z
cases:
  - name: one
    object: {type: indicator, marking: TLP:AMBER}
    from: bank
    to: cert
    topic: indicators
    expect: allow
    clause: "1"
`

// TestRefusals holds files that cannot be meant to their text and their caret.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ old, text, says, caret string }{
		"unknown field of a case":   {"expect:", "expects:", `[9:5] unknown field "expects"`, "    expects: allow"},
		"unknown field of the file": {"agreement:", "agrement:", `[1:1] unknown field "agrement"`, "agrement: tested"},
		"unknown field of an object": {"marking:", "markings:", `[5:31] unknown field "markings"`,
			"    object: {type: indicator, markings: TLP:AMBER}"},
		"two unknown fields":     {"from: bank\n    to: cert", "form: bank\n    too: cert", `[6:5] unknown field "form"`, "    form: bank"},
		"an agreement":           {"agreement: tested", "name: tested\nsecret: 0123456789abcdef", "no file of cases but a signed document", ""},
		"no such answer":         {"expect: allow", "expect: permit", `[9:13] "permit" is no answer; expect allow, withhold or refuse`, ""},
		"no such layer":          {`clause: "1"`, "because: clause", `[10:14] "clause" is no layer; the layers are form, floor, agreement, local`, ""},
		"no such moment":         {"15T12:00:00Z", "15 noon", `[2:5] "2027-06-15 noon" is no time`, ""},
		"a day that is none":     {"2027-06-15T12:00:00Z", "2027-06-31", `[2:5] "2027-06-31" is no time`, ""},
		"a time of elsewhere":    {"12:00:00Z", "12:00:00+02:00", "is no time", ""},
		"no such type":           {"type: indicator", "type: indicater", `[5:20] "indicater" is no type of STIX 2.1 (did you mean "indicator"?)`, ""},
		"no such marking":        {"TLP:AMBER", "TLP:ORANGE", "[5:40]", ""},
		"no type":                {"type: indicator, ", "", "the object has no type", ""},
		"no object":              {"    object: {type: indicator, marking: TLP:AMBER}\n", "", `[4:5] the case has no field "object"`, ""},
		"no name":                {"  - name: one\n    object", "  - object", `[4:5] the case has no field "name"`, ""},
		"an empty name":          {"name: one", "name: ''", `the case has no field "name"`, ""},
		"no moment":              {"at: 2027-06-15T12:00:00Z\n", "", "the case has no moment", ""},
		"no cases":               {whole[strings.Index(whole, "cases:"):], "cases: []\n", "it holds no cases", ""},
		"cases that are none":    {whole[strings.Index(whole, "  - name"):], "  - name\n", "[4:5] a case is a group of fields", ""},
		"an object that is none": {"{type: indicator, marking: TLP:AMBER}", "[indicator]", "[5:13] an object is", ""},
		"a group for a word":     {"from: bank", "from: {handle: bank}", "[6:11] one word is expected here", ""},
		"a list for a word":      {"from: bank", "from: [bank]", "one word is expected here", ""},
		"nothing for a word":     {"from: bank", "from: null", "[6:11] null says nothing", ""},
		"nothing for a list":     {"to: cert", "to: ~", "[7:9] null says nothing", ""},
		"nothing but comments":   {whole, "# none\n", "it holds no cases", ""},
		"an empty file":          {whole, "", "it holds no cases", ""},
		"to nobody":              {"to: cert", "to: []", "[7:9] nobody is named", ""},
		"twice in a list":        {"to: cert", "to: [cert, cert]", `[7:16] "cert" stands twice in the list`, ""},
		"a long list":            {"to: cert", "to: [" + strings.Repeat("x, ", 1000) + "cert]", "[7:9] 1001 words in a list; at most 1000", ""},
		"a long line":            {"name: one", "name: " + strings.Repeat("x", 5000) + "\n    nam: e", `[5:5] unknown field "nam"`, ""},
		"readers of a reader":    {`clause: "1"`, "readers: cert", `[10:14] "readers" goes with a case that has no "to"`, ""},
		"two of one name":        {whole[strings.Index(whole, "  - name"):], strings.Repeat(whole[strings.Index(whole, "  - name"):], 2), "[11:11] two cases have the name", ""},
		"another agreement":      {"agreement: tested", "agreement: testing", `[1:12] these are cases of "testing", and the agreement is "tested"`, ""},
		"no such author":         {"from: bank", "from: bonk", `[6:11] "bonk" is no party of the agreement; there are bank, cert, vendor`, ""},
		"no such reader":         {"to: cert", "to: [bank, certt]", `[7:16] "certt" is no party of the agreement; there are bank, cert, public, vendor`, ""},
		"from the public":        {"from: bank", "from: public", `"public" is no party`, ""},
		"no such topic":          {"topic: indicators", "topic: indicator", `[8:12] the agreement has no topic "indicator"; it has incidents, indicators`, ""},
		"no such clause":         {`clause: "1"`, "clause: 1.10", `[10:13] the agreement has no clause "1.10"`, ""},
		"a broken object":        {"{type: indicator, marking: TLP:AMBER}", "'{\"type\":\"indicator\"}'", "[5:13] ", ""},
		"a broken whole":         {"{type: indicator, marking: TLP:AMBER}", "{type: indicator, id: x}", "[5:13] ", ""},
		"a file without an id":   {"{type: indicator, marking: TLP:AMBER}", "{file: some.json}", "[5:20] write the file's name, # and the object's id", ""},
		"a file and more":        {"{type: indicator, marking: TLP:AMBER}", "{file: some.json#x, type: note}", `unknown field "type"`, ""},
		"a file that is not":     {"{type: indicator, marking: TLP:AMBER}", "{file: none.json#x}", "none.json: file does not exist", ""},
		"an id that is not":      {"{type: indicator, marking: TLP:AMBER}", "{file: some.json#x}", `"some.json" holds no object with the id "x"`, ""},
		"a file elsewhere":       {"{type: indicator, marking: TLP:AMBER}", "{file: ../some.json#x}", "no name of a file in the folder of the cases", ""},
		"a file from the root":   {"{type: indicator, marking: TLP:AMBER}", "{file: /some.json#x}", "no name of a file in the folder of the cases", ""},
		"a broken file":          {"{type: indicator, marking: TLP:AMBER}", "{file: broken.json#x}", `"broken.json": line 1: `, ""},
		"a packed file":          {"{type: indicator, marking: TLP:AMBER}", "{file: packed.json#x}", "plain JSON, not gzip", ""},
		"a large file":           {"{type: indicator, marking: TLP:AMBER}", "{file: large.json#x}", "over 16 MiB", ""},
		"an anchor":              {"from: bank", "from: &a bank", "anchors and aliases are not used", ""},
		"a field twice":          {"from: bank", "from: bank\n    from: cert", `field "from" stands twice`, ""},
		"a tab":                  {"from: bank", "from:\tbank", "a tab", ""},
		"deep nesting":           {"{type: indicator, marking: TLP:AMBER}", strings.Repeat("[", 1000), "nested over 16 deep", ""},
		"too long":               {"name: one", "name: " + strings.Repeat("x", protocol.MaxDocument), "the limit is 1048576", ""},
		"a right-to-left mark":   {"name: one", "name: o\u202ene", "writing direction", ""},
	} {
		text := strings.Replace(whole, c.old, c.text, 1)
		if text == whole {
			t.Errorf("%s: nothing was changed", name)
		}
		f, err := Parse("tests.yaml", []byte(text))
		if err == nil {
			_, err = Run(t.Context(), alliance(t), Source{File: f, Samples: testSamples()})
		}
		if kind := protocol.KindOf(err); kind != protocol.Invalid && (kind != protocol.Limit || name != "too long") {
			t.Errorf("%s: %v, of kind %s", name, err, kind)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "tests.yaml") {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%s: the secret is shown", name)
		}
		if len(err.Error()) > mostExcerpt+1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
		if c.caret != "" && !pointsAt(err.Error(), c.caret) {
			t.Errorf("%s: no caret below %q in\n%v", name, c.caret, err)
		}
	}
}

// pointsAt reports whether a line of an error has a caret below its first word
// that is not known.
func pointsAt(text, line string) bool {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasSuffix(l, "| "+line) && i+1 < len(lines) {
			return strings.TrimSpace(lines[i+1]) == "^"
		}
	}
	return false
}

// TestWordsStayAsWritten holds that YAML makes no number of a word.
func TestWordsStayAsWritten(t *testing.T) {
	a := alliance(t)
	a.Clauses[0].Number = "2.10"
	text := strings.Replace(whole, `clause: "1"`, "clause: 2.10", 1)
	if r := run(t, a, text); r.Failed > 0 {
		t.Error(r.Cases[0].Differences)
	}
	a.Parties[0].Handle = "0x10"
	if r := run(t, a, strings.Replace(text, "from: bank", "from: 0x10", 1)); r.Failed > 0 {
		t.Error(r.Cases[0].Differences)
	}
}

// TestRunEnds holds that a run can be given up.
func TestRunEnds(t *testing.T) {
	f, err := Parse("tests.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, alliance(t), Source{File: f}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestUncompiledAgreementIsRefused holds all doors to the engine's own refusal.
func TestUncompiledAgreementIsRefused(t *testing.T) {
	a := alliance(t)
	a.Clauses[1].Number = "1"
	_, run := Run(t.Context(), a)
	_, advise := Advise(a, testNow)
	_, who := Who(a, testNow)
	_, draft := Draft(a)
	for name, err := range map[string]error{"Run": run, "Advise": advise, "Who": who, "Draft": draft} {
		if protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), "this number stands on line") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
