package stix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"entente/protocol"
)

// agrees holds the scanner against jsontext, which is as strict: both take a
// text or both refuse it, but for numbers beyond I-JSON and limits.
func agrees(t interface{ Fatalf(string, ...any) }, text []byte) {
	limits := Limits{Object: 1 << 20, Depth: 1000, Members: 1 << 20, List: 1 << 20, String: 1 << 20}
	p := scanner{raw: text, limits: limits}
	err := p.scan()
	valid := jsontext.Value(text).IsValid()
	if err != nil && valid && err.kind == protocol.Invalid && !strings.Contains(err.text, "RFC 7493") {
		t.Fatalf("%q is refused: %s", text, err.text)
	}
	if err == nil && !valid {
		t.Fatalf("%q is taken", text)
	}
	if err == nil && int(p.tape[0].next) != len(p.tape) {
		t.Fatalf("%q: the tape has %d nodes, the root ends at %d", text, len(p.tape), p.tape[0].next)
	}
}

func TestScanAgrees(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{}`, ` [ ] `, `{} {}`, `{"a":1,}`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `[1 2]`,
		`tru`, `true`, `nul`, `null`, `falsee`, `"`, `"a`, `"\`, `"\u12"`, `"\ud800"`, `"\ud800\u0041"`, `"\ud83d\ude00"`, `"\ude00"`,
		`"\x41"`, "\"\x01\"", "\"\x7f\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\u00e9\u20ac\U0001f600\"", "\ufeff{}",
		`0`, `-0`, `01`, `-`, `1.`, `.1`, `1e`, `1e+`, `1E-2`, `+1`, `0x1`, `1.5e300`, `NaN`, `Infinity`, `[}`, `{]`, `[`, `{`, `{"a":[{"b":[]}]}`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"":1,"":2}`, `{"a":{"a":1},"b":{"a":1}}`, `{"a":{"b":1,"b":2}}`, "{\"a\":1,\"\u00e9\":2,\"\\u00e9\":3}",
		`"1234567"`, `"12345678"`, `"1234567` + "\x1f" + `"`, `"12345678\n9"`, "{\"a\"\v:1}", "[1\u00a0]", `/**/{}`, `{'a':1}`,
	} {
		agrees(t, []byte(text))
	}
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"p%d":%d,`, i, i)
		}
		return "{" + b.String() + last + "}"
	}
	for n := range 2 * linearNames {
		agrees(t, []byte(many(n, `"last":1`)))
		agrees(t, []byte(many(n, `"p0":1`)))
		agrees(t, []byte(many(n, `"\u0070`+fmt.Sprint(n/2)+`":1`)))
	}
}

// TestDuplicates draws objects with and without a name that stands twice and
// holds the answer against what encoding/json, which takes the last, lost.
func TestDuplicates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[a-c]{0,3}`), 0, 60).Draw(t, "names")
		var b bytes.Buffer
		for i, name := range names {
			if i > 0 {
				b.WriteByte(',')
			}
			text := `"` + name + `"`
			if len(name) > 0 && rapid.Bool().Draw(t, "escaped") {
				text = fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
			}
			fmt.Fprintf(&b, "%s:%d", text, i)
		}
		text := []byte("{" + b.String() + "}")
		var held map[string]int
		if err := json.Unmarshal(text, &held); err != nil {
			t.Fatal(err)
		}
		s := scanner{raw: text, limits: DefaultLimits()}
		err := s.scan()
		if (err == nil) != (len(held) == len(names)) {
			t.Fatalf("%s: %d names, %d distinct, %v", text, len(names), len(held), err)
		}
		agrees(t, text)
	})
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		text  string
		taken bool
	}{
		{"9007199254740991", true}, {"-9007199254740991", true}, {"9007199254740992", false}, {"-9007199254740992", false},
		{"10000000000000000000000", false}, {"1e308", true}, {"1e309", false}, {"-1e400", false}, {"1e-400", true}, {"123456789012345", true},
		{"0.1234567890123456789", true},
	} {
		_, err := Parse([]byte(sdo("x-any", `"x_n":`+c.text)), DefaultLimits())
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// TestLimits goes to each limit and one beyond.
func TestLimits(t *testing.T) {
	limits := Limits{Object: 4096, Depth: 8, Members: 40, List: 30, String: 1000, Pattern: 64}
	list := func(n int) string { return `"x_list":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]` }
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"x_%d":1`, i)
		}
		return b.String()[1:]
	}
	pattern := func(n int) string {
		return `"pattern":"` + strings.Repeat("x", n) + `","pattern_type":"yara","valid_from":"2026-01-01T00:00:00Z"`
	}
	blanks := func(n int) string {
		text := sdo("x-any", "")
		return text + strings.Repeat(" ", n-len(text))
	}
	for _, c := range []struct {
		name, good, bad, says string
	}{
		{"object", blanks(4096), blanks(4097), "4097 bytes are over the limit of 4096"},
		{"depth", sdo("x-any", `"x_a":`+strings.Repeat("[", 7)+strings.Repeat("]", 7)), sdo("x-any", `"x_a":`+strings.Repeat("[", 8)+strings.Repeat("]", 8)), "nested deeper than the limit of 8"},
		{"members", sdo("x-any", members(35)), sdo("x-any", members(36)), "more members than the limit of 40"},
		{"list", sdo("x-any", list(30)), sdo("x-any", list(31)), "more elements than the limit of 30"},
		{"string", sdo("x-any", `"x_a":"`+strings.Repeat("x", 1000)+`"`), sdo("x-any", `"x_a":"`+strings.Repeat("x", 1001)+`"`), "1001 bytes, over the limit of 1000"},
		{"pattern", sdo("indicator", pattern(64)), sdo("indicator", pattern(65)), `property "pattern" has 65 bytes, over the limit of 64`},
	} {
		if _, err := Parse([]byte(c.good), limits); err != nil {
			t.Errorf("%s at the limit: %v", c.name, err)
		}
		if _, err := Parse([]byte(c.bad), limits); protocol.KindOf(err) != protocol.Limit || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s over the limit: %v", c.name, err)
		}
	}
}

// TestHostile reads objects that are made to cost more than they weigh. None
// may take long.
func TestHostile(t *testing.T) {
	size := DefaultLimits().Object - 1000
	fill := func(part string) string { return strings.TrimSuffix(strings.Repeat(part, size/len(part)), ",") }
	var names strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&names, `"%06d":0,`, i)
	}
	many := "{" + strings.TrimSuffix(names.String(), ",") + "},"
	long := strings.Repeat("n", 200<<10)
	start := time.Now()
	for name, text := range map[string]string{
		"brackets":         sdo("x-any", `"x_a":`+strings.Repeat("[", size)),
		"objects":          sdo("x-any", `"x_a":`+strings.Repeat(`{"a":`, size/5)),
		"objects of names": sdo("x-any", `"x_a":[`+fill(many)+`]`),
		"long name":        sdo("x-any", `"x_a":{"`+long+`":[`+strings.TrimSuffix(strings.Repeat(`{"a_ref":""},`, 10000), ",")+`]}`),
		"references":       sdo("x-any", `"x_a_refs":[`+strings.TrimSuffix(strings.Repeat(`"",`, 20000), ",")+`]`),
		"escapes":          sdo("x-any", `"x_a":"`+strings.Repeat(`\u0041`, 40000)+`"`),
		"digits":           sdo("x-any", `"x_a":0.`+strings.Repeat("1", size-100)),
		"markings":         sdo("x-any", `"object_marking_refs":[`+strings.TrimSuffix(strings.Repeat(`"`+id("marking-definition")+`",`, 5000), ",")+`]`),
	} {
		if o, err := Parse([]byte(text), DefaultLimits()); err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		} else if err == nil && len(o.Warnings) > maxWarnings {
			t.Errorf("%s: %d warnings", name, len(o.Warnings))
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		sdo("tool", `"name":"x"`), sdo("indicator", indicator), sco("file", `"name":"x","hashes":{"MD5":"x"}`), sdo("x-any", `"x_a":[{"b_ref":"c"}]`),
		sdo("note", `"content":"\ud83d\ude00","object_refs":["`+id("tool")+`"]`), `{"a":1,"\u0061":2}`, "\"\xff\"", `[1e999,-0,9007199254740993]`,
		string(PredefinedMarkings()[MarkingID(protocol.Amber)]), sco("process", `"environment_variables":{"A":"b"},"extensions":{"windows-service-ext":{"start_type":1}}`),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		agrees(t, text)
		o, err := Parse(text, DefaultLimits())
		used := NewParser(DefaultLimits())
		for _, c := range everyday() {
			if _, err := used.Parse([]byte(c.text)); err != nil {
				t.Fatal(err)
			}
		}
		if again, errAgain := used.Parse(text); fmt.Sprint(errAgain) != fmt.Sprint(err) || !reflect.DeepEqual(again, o) {
			t.Fatalf("%s\na new parser %+v, %v\na used one  %+v, %v", text, o, err, again, errAgain)
		}
		if err != nil {
			if kind := protocol.KindOf(err); kind != protocol.Invalid && kind != protocol.Limit {
				t.Fatalf("kind %v: %v", kind, err)
			}
			return
		}
		if o.ID == "" || o.Type == "" || o.Kind == 0 || !jsontext.Value(text).IsValid() {
			t.Fatalf("%s: %+v", text, o)
		}
		var held struct {
			ID   string   `json:"id"`
			Refs []string `json:"object_marking_refs"`
		}
		if err := json.Unmarshal(text, &held); err != nil || held.ID != o.ID || len(held.Refs) > 0 && len(o.Level.Refs) == 0 {
			t.Fatalf("%s: another reader sees %+v, %v", text, held, err)
		}
		o.Keys()
		LevelOf(o, nil)
		if _, err := ContentHash(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
