package stix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"entente/protocol"
)

// dump prints the tree as it was read, without regard to precedence.
func (o *observation) dump() string {
	var parts []string
	for _, p := range o.parts {
		parts = append(parts, p.dump())
	}
	if o.test != nil {
		parts = append(parts, o.test.dump())
	}
	for _, q := range o.qualifiers {
		var b strings.Builder
		q.print(&b)
		parts = append(parts, "{"+strings.TrimSpace(b.String())+"}")
	}
	name := [...]string{"", "observe", "group", "and", "or", "followedby"}[o.op]
	return "(" + name + " " + strings.Join(parts, " ") + ")"
}

func (c *comparison) dump() string {
	if c.op == single {
		var b strings.Builder
		c.test.print(&b)
		return "<" + b.String() + ">"
	}
	var parts []string
	for _, p := range c.parts {
		parts = append(parts, p.dump())
	}
	return "(" + [...]string{"", "", "all", "any"}[c.op] + " " + strings.Join(parts, " ") + ")"
}

// TestPatterns runs testdata/patterns: "parse" prints tree, normal form where
// it differs from the input, warnings and keys, or the error with its caret.
// One case a line; \u00a0 and \n in a case stand for those characters.
func TestPatterns(t *testing.T) {
	datadriven.Walk(t, "testdata/patterns", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSuffix(line, "\n")
				text := strings.NewReplacer(`\u00a0`, "\u00a0", `\u2003`, "\u2003", `\n`, "\n").Replace(line)
				p, err := ParsePattern(text)
				switch d.Cmd {
				case "accept":
					if err != nil {
						t.Fatalf("%s: %s: %v", d.Pos, line, err)
					}
					describe(&b, text, p)
				case "refuse":
					if err == nil {
						t.Fatalf("%s: %s: accepted as %s", d.Pos, line, p)
					}
					var at *PatternError
					if !errors.As(err, &at) {
						t.Fatalf("%s: no position in %v", d.Pos, err)
					}
					fmt.Fprintf(&b, "%v\n", err)
					if hint := protocol.HintOf(err); hint != "" {
						fmt.Fprintf(&b, "hint: %s\n", hint)
					}
					if d.HasArg("caret") {
						fmt.Fprintf(&b, "%s\n", at.Caret())
					}
				default:
					t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
				}
			}
			return b.String()
		})
	})
}

func describe(b *strings.Builder, text string, p *Pattern) {
	fmt.Fprintf(b, "%s\n", p.root.dump())
	if p.String() != text {
		fmt.Fprintf(b, "  = %s\n", p)
	}
	for _, w := range p.Warnings() {
		fmt.Fprintf(b, "  ! %s\n", w)
	}
	for _, k := range p.Keys() {
		fmt.Fprintf(b, "  > %v\n", k)
	}
}

func TestPatternLimits(t *testing.T) {
	nested := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	members := func(n int) string {
		return "[a:b IN (" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + ")]"
	}
	for _, c := range []struct {
		name, text string
		kind       protocol.Kind
	}{
		{"64 nested observations", nested(64, "(", "[a:b=1]", ")"), protocol.Other},
		{"65 nested observations", nested(65, "(", "[a:b=1]", ")"), protocol.Limit},
		{"64 nested comparisons", "[" + nested(64, "(", "a:b=1", ")") + "]", protocol.Other},
		{"65 nested comparisons", "[" + nested(65, "(", "a:b=1", ")") + "]", protocol.Limit},
		{"64 nested of both", nested(32, "(", "["+nested(32, "(", "a:b=1", ")")+"]", ")"), protocol.Other},
		{"65 nested of both", nested(33, "(", "["+nested(32, "(", "a:b=1", ")")+"]", ")"), protocol.Limit},
		{"parentheses one after the other", strings.TrimSuffix(strings.Repeat("([a:b=1]) OR ", 200), " OR "), protocol.Other},
		{"10,000 members", members(10_000), protocol.Other},
		{"10,001 members", members(10_001), protocol.Limit},
		{"64 KiB", "[a:b='" + strings.Repeat("x", 64<<10-8) + "']", protocol.Other},
		{"64 KiB and a byte", "[a:b='" + strings.Repeat("x", 64<<10-7) + "']", protocol.Limit},
		{"a regular expression of 16 KiB", "[a:b MATCHES '" + strings.Repeat("x", 16<<10) + "']", protocol.Other},
		{"a regular expression over 16 KiB", "[a:b MATCHES '" + strings.Repeat("x", 16<<10+1) + "']", protocol.Limit},
		{"a megabyte of brackets", strings.Repeat("(", 1<<20), protocol.Limit},
		{"64 KiB of brackets", strings.Repeat("(", 64<<10), protocol.Limit},
		{"64 KiB of square brackets", strings.Repeat("[", 64<<10), protocol.Invalid},
		{"not UTF-8", "[a:b='\xff']", protocol.Invalid},
	} {
		p, err := ParsePattern(c.text)
		if protocol.KindOf(err) != c.kind || (err == nil) != (p != nil) || (err == nil) != (c.kind == protocol.Other) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPatternWarningsAreBounded(t *testing.T) {
	p, err := ParsePattern(strings.TrimSuffix(strings.Repeat("[a:b IN ()] OR ", 100), " OR "))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Warnings()); n != 8 {
		t.Errorf("%d warnings, want 8", n)
	}
}

func TestCaretIsHarmless(t *testing.T) {
	_, err := ParsePattern("[a:b = '\x1b[31m\u202e" + strings.Repeat("ж", 100) + "' AND ?" + strings.Repeat("\x07", 100))
	var at *PatternError
	if !errors.As(err, &at) {
		t.Fatal(err)
	}
	lines := strings.Split(at.Caret(), "\n")
	if len(lines) != 2 || strings.ContainsAny(at.Caret(), "\x1b\x07\u202e") {
		t.Fatalf("%q", at.Caret())
	}
	if column := strings.IndexByte(lines[1], '^'); string([]rune(lines[0])[column]) != "?" {
		t.Errorf("the caret is not under the fault:\n%s", at.Caret())
	}
}

// checkRoundTrip holds what must be true of every pattern that is accepted:
// its normal form is accepted, is the same tree, and is its own normal form.
func checkRoundTrip(t interface{ Fatalf(string, ...any) }, p *Pattern) {
	text := p.String()
	again, err := parsePattern(text, 2*len(text))
	if err != nil {
		t.Fatalf("normal form %s: %v", text, err)
	}
	if !reflect.DeepEqual(p.root, again.root) {
		t.Fatalf("normal form %s is another tree:\n%s\n%s", text, p.root.dump(), again.root.dump())
	}
	if again.String() != text {
		t.Fatalf("normal form %s has another one: %s", text, again)
	}
	if !reflect.DeepEqual(p.Keys(), again.Keys()) {
		t.Fatalf("normal form %s has other keys", text)
	}
}

func TestPatternNormalForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawObservation(t, 4)
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		checkRoundTrip(t, p)
	})
}

// drawObservation makes the text of an observation expression that follows the
// grammar, with parentheses and blanks wherever they may stand.
func drawObservation(t *rapid.T, depth int) string {
	shape := 0
	if depth > 0 {
		shape = rapid.IntRange(0, 6).Draw(t, "shape")
	}
	text := ""
	switch shape {
	case 0, 1:
		text = "[" + drawComparison(t, depth) + "]"
	case 2:
		text = "(" + drawObservation(t, depth-1) + ")"
	case 3, 4:
		return drawObservation(t, depth-1) + " AND " + drawObservation(t, depth-1)
	case 5:
		return drawObservation(t, depth-1) + "OR" + drawObservation(t, depth-1)
	case 6:
		return drawObservation(t, depth-1) + " FOLLOWEDBY\n" + drawObservation(t, depth-1)
	}
	qualifiers := []string{" WITHIN 5 SECONDS ", " WITHIN .5 SECONDS ", " REPEATS 2 TIMES ",
		" START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00.5Z' "}
	if i := rapid.IntRange(-4, 3).Draw(t, "qualifier"); i >= 0 {
		text += qualifiers[i]
		if i > 1 && rapid.Bool().Draw(t, "second") {
			text += qualifiers[0]
		}
	}
	return text + " "
}

func drawComparison(t *rapid.T, depth int) string {
	shape := 0
	if depth > 0 {
		shape = rapid.IntRange(0, 3).Draw(t, "comparison")
	}
	switch shape {
	case 1:
		return drawComparison(t, depth-1) + " AND " + drawComparison(t, depth-1)
	case 2:
		return drawComparison(t, depth-1) + "/* */ OR " + drawComparison(t, depth-1)
	case 3:
		return "(" + drawComparison(t, depth-1) + ") "
	}
	path := rapid.SampledFrom([]string{"file:name", "file:hashes.'SHA-256'", "file:hashes.MD5", "a-b:c[*].'d e'[-3]", "x:'AND'",
		"ipv4-addr:value", "network-traffic:dst_ref.value", "x : y . z", "autonomous-system:number"}).Draw(t, "path")
	not := rapid.SampledFrom([]string{" ", " NOT "}).Draw(t, "not")
	switch op := rapid.SampledFrom([]string{"=", "==", "!=", "<>", "<", ">=", "IN", "LIKE", "MATCHES", "ISSUBSET", "EXISTS"}).Draw(t, "op"); op {
	case "EXISTS":
		return "EXISTS " + path + " "
	case "IN":
		members := rapid.SliceOfN(rapid.Custom(drawConstant), 0, 4).Draw(t, "members")
		return path + not + "IN(" + strings.Join(members, ",") + ") "
	case "LIKE", "MATCHES":
		return path + not + op + drawString(t) + " "
	case "ISSUBSET":
		return path + not + "ISSUBSET '198.51.100.0/24' "
	case "<", ">=":
		return path + not + op + drawString(t) + " "
	default:
		return path + not + op + drawConstant(t) + " "
	}
}

func drawConstant(t *rapid.T) string {
	switch rapid.IntRange(0, 4).Draw(t, "constant") {
	case 0:
		return rapid.SampledFrom([]string{"true", "false", "h''", "h'00fF'", "b'AP8='", "t'2024-02-29T23:59:60.120Z'", "'d41d8cd98f00b204e9800998ecf8427e'", "'198.51.100.1'"}).Draw(t, "special")
	case 1:
		return fmt.Sprint(rapid.Int64().Draw(t, "integer"))
	case 2:
		return fmt.Sprintf("%+.9f", rapid.Float64Range(-1e300, 1e300).Draw(t, "float"))
	case 3:
		return rapid.StringMatching(`[+-]?[0-9]{0,5}\.[0-9]{1,5}`).Draw(t, "fraction")
	}
	return drawString(t)
}

func drawString(t *rapid.T) string {
	s := rapid.StringOf(rapid.SampledFrom([]rune(`ab'\/%*[]()ж`+"\u00a0\n\x00"))).Draw(t, "string")
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func TestObjectPattern(t *testing.T) {
	o := &Object{Type: "indicator", details: details{pattern: quoted("[ipv4-addr:value = '198.51.100.1'"), patternType: quoted("stix")}}
	if err := o.PatternError(); protocol.KindOf(err) != protocol.Invalid {
		t.Errorf("unclosed pattern: %v", err)
	}
	if keys := o.Keys(); len(keys) != 0 {
		t.Errorf("unclosed pattern has keys %v", keys)
	}
	o.details.patternType = quoted("yara")
	if p, err := o.Pattern(); p != nil || err != nil {
		t.Errorf("a yara rule was read as a STIX pattern: %v, %v", p, err)
	}
	o.details.patternType, o.details.pattern = quoted(`st\u0069x`), append(o.details.pattern, ']')
	if keys := o.Keys(); o.PatternError() != nil || len(keys) != 1 || keys[0].String() != "ip:198.51.100.1" {
		t.Errorf("keys %v, %v", keys, o.PatternError())
	}
}

func FuzzPattern(f *testing.F) {
	files, err := filepath.Glob("testdata/patterns/*")
	if err != nil || len(files) == 0 {
		f.Fatal("no corpus", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "[") || strings.HasPrefix(line, "(") {
				f.Add(strings.TrimSpace(line))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePattern(text)
		if err != nil {
			var at *PatternError
			if errors.As(err, &at) {
				at.Caret()
			}
			return
		}
		checkRoundTrip(t, p)
	})
}

func BenchmarkParsePattern(b *testing.B) {
	hashes := make([]string, 1000)
	for i := range hashes {
		hashes[i] = fmt.Sprintf("'%064x'", i)
	}
	for _, c := range []struct{ name, text string }{
		{"address", "[ipv4-addr:value = '198.51.100.1']"},
		{"digests", "[file:hashes.'SHA-256' = '" + strings.Repeat("ab", 32) + "' OR file:hashes.MD5 = '" + strings.Repeat("ab", 16) + "' AND file:name = 'a.exe'] WITHIN 300 SECONDS"},
		{"set of 800", "[file:hashes.'SHA-256' IN (" + strings.Join(hashes[:800], ", ") + ")]"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				if _, err := ParsePattern(c.text); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+" with keys", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := ParsePattern(c.text)
				if err != nil || len(p.Keys()) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}
