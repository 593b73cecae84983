package protocol

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// readByLibrary reads a text with a YAML library and returns it in the form of
// show.
func readByLibrary(text []byte) (string, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return "", err
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return "", errors.New("not one document")
	}
	var b strings.Builder
	err = showLibrary(&b, file.Docs[0].Body)
	return b.String(), err
}

func showLibrary(b *strings.Builder, n ast.Node) error {
	switch n := n.(type) {
	case *ast.MappingNode:
		b.WriteByte('{')
		for _, v := range n.Values {
			fmt.Fprintf(b, "%q:", v.Key.GetToken().Value)
			if err := showLibrary(b, v.Value); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case *ast.MappingValueNode:
		b.WriteByte('{')
		fmt.Fprintf(b, "%q:", n.Key.GetToken().Value)
		if err := showLibrary(b, n.Value); err != nil {
			return err
		}
		b.WriteByte('}')
	case *ast.SequenceNode:
		b.WriteByte('[')
		for _, v := range n.Values {
			if err := showLibrary(b, v); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case *ast.LiteralNode:
		fmt.Fprintf(b, "%q,", n.Value.Value)
	case *ast.StringNode:
		fmt.Fprintf(b, "%q,", n.Value)
	case ast.ScalarNode:
		fmt.Fprintf(b, "%q,", n.GetToken().Value)
	default:
		return fmt.Errorf("a %T", n)
	}
	return nil
}

func show(b *strings.Builder, n *yamlNode) {
	switch n.kind {
	case yamlMapping:
		b.WriteByte('{')
		for _, f := range n.fields {
			fmt.Fprintf(b, "%q:", f.key)
			show(b, f.value)
		}
		b.WriteByte('}')
	case yamlSequence:
		b.WriteByte('[')
		for _, item := range n.items {
			show(b, item)
		}
		b.WriteByte(']')
	default:
		fmt.Fprintf(b, "%q,", n.text)
	}
}

// sameAsLibrary holds that a text which is read here says the same to others.
func sameAsLibrary(t *testing.T, text []byte) {
	t.Helper()
	root, _, err := parseYAML(text)
	if err != nil {
		return
	}
	var b strings.Builder
	show(&b, root)
	theirs, err := readByLibrary(text)
	if err != nil {
		t.Errorf("the library refuses what is read here: %v\n%q", err, text)
	} else if theirs != b.String() {
		t.Errorf("%q\nis read here as     %s\nby the library as %s", text, b.String(), theirs)
	}
}

func TestYAMLIsWhatEverybodyReads(t *testing.T) {
	texts := []string{
		testAgreement(), string(mustRender(t, testRecord("bank"))),
		"a: b\n", "a:   b   \n", "a: b # c\n", "a: b#c\n", "# c\n\na: b\n\n# d\n", "a:\n  b: c\nd: e\n", "a:\n- b\n- c\nd: e\n",
		"a:\n  - b: c\n    d: e\n  - b: f\n", "a:\n  -   b: c\n      d: e\n", "a: [b, c , d]\n", "a: []\n", "a: {}\n", "a: {b: c, d: [e, f]}\n",
		"a: [{b: c}, {b: d}]\n", "a: \"b: c # d [e] \\\" \\\\ \"\n", "a: 'it''s'\n", "a: ''\n", "a: |\n  b\n   c\n\n  d\n", "a: |-\n  b\n\n", "a: >\n  b\n  c\n\n  d\n\n\n  e\n",
		"a: >-\n  b # c\n  d: e\nf: g\n", "a:\n  - |\n    b\n    c\n  - d\n", "a:\n  - b: |\n      c\n    d: e\n", "a: TLP:CLEAR\nb: [TLP:CLEAR, TLP:AMBER+STRICT]\n",
		"a: http://b.example/?c=d&e=f\n", "a: b, c\n", "a: b [c] {d}\n", "a: 2.10\nb: 007\nc: 2026-01-01\nd: 1e3\n", "a: é ü 日本語\n", "a: yes\nb: no\nc: ~\nd: null\n",
		"a: \"b\" # c\n", "a: {b: \"c\"} # d\n", "a: /dns4/b/tcp/1\n", "a: b - c\n", "a: b's \"c\"\n", "a: b'\n", "a:\n  - 'b'\n  - \"c\"\n", "a: <b\n", "a: =b\n", "a: .b\n", "a: (b)\n", "a: $b ^c +d ;e\n",
	}
	for _, text := range texts {
		if _, _, err := parseYAML([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		sameAsLibrary(t, []byte(text))
	}
}

// TestTextIsRefused holds every rule of the text to the fault it gives.
func TestTextIsRefused(t *testing.T) {
	deep := strings.Repeat("[", 17) + strings.Repeat("]", 17)
	steps := "a:\n"
	for i := range 17 {
		steps += strings.Repeat(" ", i+1) + "a:\n"
	}
	for text, says := range map[string]string{
		"":                       "the document is empty",
		"a: [b, ]\n":             "1:8: a value cannot begin with ]",
		"a: b":                   "1:5: the last line has no line feed",
		"\n\n":                   "nothing but comments",
		"a: \xff\n":              "1:4: byte 0xff is not UTF-8",
		"a: e\u0301\n":           "1:4: a character here is not in Unicode normal form C",
		"\ufeffa: b\n":           "1:1: U+FEFF is a byte order mark",
		"a:\tb\n":                "1:3: U+0009 is a tab",
		"a: b\r\n":               "1:5: U+000D is a carriage return",
		"a: \x00\n":              "1:4: U+0000 is a control character",
		"a: \u0085\n":            "1:4: U+0085 is a control character",
		"# \u202e\na: b\n":       "1:3: U+202E is a control of writing direction",
		"a: b\u200bc\n":          "1:5: U+200B is an invisible character",
		"a: \u2028\n":            "a line separator",
		"a: \ue000\n":            "private use",
		"a: \U000e0041\n":        "no character",
		" a: b\n":                "1:2: the first field is indented",
		"- a\n":                  "1:1: a document begins with fields",
		"a: b\n c: d\n":          "2:2: indented more than the field above",
		"a: b\n  c\n":            "2:3: indented more",
		"a:\n    b: c\n  d: e\n": "3:3: indented more",
		"a:\n  - b\n    c\n":     "3:5: indented more",
		"a:\n  b: c\n- d\n":      "3:1: a list entry where a field",
		"a:\nb: c\n":             "1:1: field \"a\" has no value",
		"a: b\na: c\n":           "2:1: field \"a\" stands twice; first in line 1",
		"a: {b: c, b: d}\n":      "field \"b\" stands twice",
		"A: b\n":                 "1:1: expected a field",
		"a b: c\n":               "1:1: expected a field",
		"\"a\": b\n":             "1:1: expected a field",
		"a\n":                    "1:1: expected a field",
		"? a\n":                  "cannot begin with ?",
		"---\na: b\n":            "1:1: a file holds one document",
		"a: b\n...\n":            "2:1: a file holds one document",
		"%YAML 1.2\n":            "cannot begin with %",
		"a: &b c\n":              "1:4: anchors and aliases",
		"a: *b\n":                "1:4: anchors and aliases",
		"<<: *b\n":               "expected a field",
		"a: !!str b\n":           "1:4: tags are not used",
		"a: [!x b]\n":            "1:5: tags are not used",
		"a: - b\n":               "cannot begin with -",
		"a:\n  - - b\n":          "2:5: a list directly within a list",
		"a:\n  -\n    b: c\n":    "2:3: a list entry without a value",
		"a: b: c\n":              "1:5: a colon that ends a word",
		"a: b:\n":                "1:5: a colon that ends a word",
		"a: [b: c]\n":            "1:6: a colon that ends a word",
		"a: [b\n":                "1:6: expected a comma or ]",
		"a: [b,\n":               "1:7: a value is missing",
		"a: [b c, [d}]\n":        "expected a comma or ]",
		"a: [b] c\n":             "1:7: unexpected text after the value",
		"a: \"b\" c\n":           "unexpected text after the value",
		"a: \"b\"# c\n":          "unexpected text after the value",
		"a: \"b\n":               "the quote is not closed",
		"a: 'b\n":                "the quote is not closed",
		"a: \"\\u0041\"\n":       "only \\\" and \\\\ are known",
		"a: |+\n  b\n":           "1:5: after | nothing or a hyphen",
		"a: |2\n  b\n":           "after | nothing or a hyphen",
		"a: |\nb: c\n":           "1:4: no text follows",
		"a: |\n\n  b\n":          "2:1: an empty line at the start",
		"a: |\n  b \n":           "2:4: a space at the end",
		"a: |\n  b\n \n":         "3:1: an empty line",
		"a: >\n  b\n   c\n":      "3:3: indented more than the text above",
		"a: |\n   b\n  c\n":      "3:3: indented more than the field above",
		"a: [|]\n":               "cannot stand in brackets",
		"a: {b}\n":               "1:5: expected a field",
		"a: " + deep + "\n":      "nested over 16 deep",
		steps:                    "nested over 16 deep",
	} {
		_, _, err := parseYAML([]byte(text))
		if err == nil {
			t.Errorf("%q was read", text)
			continue
		}
		got := strings.Replace(err.Error(), ", column ", ":", 1)
		if KindOf(err) != Invalid || !strings.Contains(strings.Replace(got, "line ", "", 1), says) {
			t.Errorf("%q: %v does not say %q", text, err, says)
		}
	}
}

func TestTextLimits(t *testing.T) {
	for name, text := range map[string]string{
		"bytes":  "a: " + strings.Repeat("b", MaxDocument) + "\n",
		"lines":  strings.Repeat("\n", maxTextLines+1),
		"values": "a: [" + strings.Repeat("b,", maxTextNodes) + "]\n",
		"fields": func() string {
			var b strings.Builder
			for i := range maxTextFields + 1 {
				fmt.Fprintf(&b, "f%d: x\n", i)
			}
			return b.String()
		}(),
	} {
		_, _, err := parseYAML([]byte(text))
		if err == nil || !strings.Contains(err.Error(), "limit") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// worstTexts are texts of up to a mebibyte that cost parsers most.
func worstTexts() map[string]string {
	fill := func(head, part string) string {
		return head + strings.Repeat(part, (MaxDocument-len(head)-2)/len(part)) + "\n"
	}
	return map[string]string{
		"brackets": fill("a: ", "["), "braces": fill("a: ", "{a: "), "dashes": fill("a:\n  ", "- "), "quotes": fill("a: ", "\""),
		"closed": fill("a: [", "],["), "fields": fill("", "a: b\n"), "entries": fill("a:\n", "- b\n"), "flow": fill("a: [", "b,"), "text": fill("a: |\n", "  b\n"),
		"folded": fill("a: >\n", "  b\n\n"), "comments": fill("", "#\n"), "marks": fill("a: ", "e\u0301"), "accents": fill("a: ", "é"), "below": fill("a: ", "\u0316"),
		"stair": func() string {
			var b strings.Builder
			for i := 0; b.Len() < MaxDocument-3000; i++ {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(),
	}
}

// TestReadingIsCheap holds reading to memory in proportion to the text, where
// a parser of all YAML dies.
func TestReadingIsCheap(t *testing.T) {
	for name, text := range worstTexts() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := parseYAML([]byte(text))
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 48<<20 {
			t.Errorf("%s: %d MiB for %d bytes (%.80v)", name, used>>20, len(text), err)
		}
	}
}

// TestWhatPassesIsCheapElsewhere holds what CheckText promises to those who give
// a text that passed to the YAML library.
func TestWhatPassesIsCheapElsewhere(t *testing.T) {
	nested := strings.Repeat("[", 13) + "b" + strings.Repeat("]", 13) + ","
	for name, text := range map[string]string{
		"lists":  "a:\n" + strings.Repeat("  - b\n", maxTextLines-2),
		"flow":   "a: [" + strings.Repeat("b,", maxTextNodes-10) + "b]\n",
		"nested": "a: [" + strings.Repeat(nested, maxTextNodes/14-1) + "b]\n",
		"text":   "a: |\n" + strings.Repeat("  b\n", maxTextLines-2),
		"groups": "a:\n" + strings.Repeat("  - b: c\n    d: e\n", maxTextNodes/3-2),
	} {
		if err := CheckText([]byte(text)); err != nil {
			t.Errorf("%s does not pass: %v", name, err)
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parser.ParseBytes([]byte(text), 0)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; err != nil || used > 128<<20 {
			t.Errorf("%s: %d MiB, %v", name, used>>20, err)
		}
	}
	for _, text := range []string{"", "\n", "# a\n"} {
		if err := CheckText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := CheckText([]byte("a: b: c\n")); KindOf(err) != Invalid {
		t.Error(err)
	}
}

// TestRandomTextsAreReadAlike makes texts of the pieces that YAML is made of,
// so that most of its corners come up, and holds reading to the library.
func TestRandomTextsAreReadAlike(t *testing.T) {
	const texts = 20_000
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	read := 0
	for range texts {
		var b strings.Builder
		b.WriteString(pick("", "# c\n", "\n") + "a:" + randomValue(pick) + "\n")
		keys := "bcdefghijk"
		for i := range random.IntN(8) {
			b.WriteString(pick("", "", "  ", "  ", "    ", "      "))
			b.WriteString(pick("", "", "", "- ", "-  "))
			b.WriteString(pick(keys[i:i+1]+":", keys[i:i+1]+":", "", "#") + randomValue(pick))
			b.WriteString(pick("", "", " ", " # c") + pick("\n", "\n", "\n", "\n\n"))
		}
		if _, _, err := parseYAML([]byte(b.String())); err == nil {
			read++
		}
		if sameAsLibrary(t, []byte(b.String())); t.Failed() {
			return
		}
	}
	if read < texts/50 {
		t.Errorf("%d of %d texts were read: too few to prove anything", read, texts)
	}
}

// randomValue returns something that may stand after a field's name.
func randomValue(pick func(...string) string) string {
	switch pick("none", "plain", "plain", "pieces", "block", "flow", "quoted") {
	case "plain":
		return " " + pick("v", "v w", "1.10", "TLP:RED", "~", "v:w", "v#w", "é", "x, y", "x [y]", "x's", "/a/b", "<x", "=", "2026-01-01", "0x1F",
			"1e3", ".5", "yes", "0o7", "1_000", "<<", "+", "v - w", "(", "\u00a0v", "v\u00a0", "$x", "^", ".", "..", "_x", "~x", "null", "true", ".inf")
	case "pieces":
		s := " "
		for range 1 + len(pick("", "x", "xx", "xxx")) {
			s += pick("v", " ", ":", ": ", "#", " #", "'", `"`, "[", "]", "{", "}", ",", "|", ">", "-", "- ", `\`, "?", "!", "&", "*", "%", "@", "`", ".")
		}
		return s
	case "block":
		return " " + pick("|", "|-", ">", ">-") + "\n" + pick("  ", "    ", "      ") + pick("t", "t\n\n    u", "t\n    u", "t\n      u", "# t",
			"- t", "t: u", "t\n\n\n    u\n", "'t", "t\n# c", "t\n  # c", "t #u", "t\n\n\n")
	case "flow":
		inner := func() string {
			return pick("v", "v w", "'x'", `"y"`, "[]", "{}", "[v]", "{k: v}", "TLP:RED", "k: v", "", "v:w", "é", "1.0", "'a,b'", `"]"`, "v#w", " ")
		}
		return " " + pick("[", "[", "{", "{k: ") + inner() + pick("", ",", ", ") + inner() + pick("", ", l: ") + pick("", "v") + pick("]", "]", "}", "}")
	case "quoted":
		return " " + pick("'v'", `"v"`, "''", `""`, "'it''s'", `"a\"b"`, `"\\"`, `'\'`, "'a # b'", `"a: b"`, "'  a  '", `"  "`, "'a", "'''", `"\n"`, `'"'`, `"'"`, "''''")
	}
	return ""
}
