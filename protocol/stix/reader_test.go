package stix

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"entente/protocol"
)

// drain reads to the end: what came, the errors of single objects, and what
// ended it, io.EOF when all was well.
func drain(in io.Reader, limits Limits) (items []Item, bad []*ItemError, end error) {
	r, err := NewReader(in, limits)
	if err != nil {
		return nil, nil, err
	}
	for {
		item, err := r.Next()
		var single *ItemError
		switch {
		case err == nil:
			items = append(items, item)
		case errors.As(err, &single):
			bad = append(bad, single)
		default:
			return items, bad, err
		}
	}
}

func raws(items []Item) string {
	var all []string
	for _, item := range items {
		all = append(all, string(item.Raw))
	}
	return strings.Join(all, "|")
}

func TestReader(t *testing.T) {
	a, b := `{"type":"a","x":"]}\"["}`, `{"id":2,"type":"b","y":{"objects":[1]}}`
	for _, c := range []struct{ name, text, want string }{
		{"bundle", `{"type":"bundle","id":"x","objects":[` + a + `, ` + b + `]}`, a + "|" + b},
		{"bundle, objects first", `{"objects":[` + a + `,` + b + `],"id":"x","type":"bundle"}`, a + "|" + b},
		{"bundle with other properties", `{"id":{"objects":[{}]},"type":"bundle","x":[{}],"objects":[` + a + `],"y":"z","n":-1.5e3}`, a},
		{"bundle without a type", `{"more":false,"objects":[` + a + `]}`, a},
		{"bundle with escaped names", `{"\u0074ype":"b\u0075ndle","\u006fbjects":[` + a + `]}`, a},
		{"empty bundle", `{"type":"bundle","id":"x"}`, ""},
		{"bundle of none", `{"type":"bundle","objects":[ ]}`, ""},
		{"array", "[\n" + a + ",\n" + b + "\n]\n", a + "|" + b},
		{"empty array", `[]`, ""},
		{"one object", " " + b + "\n", b},
		{"object with objects as dictionary", `{"type":"observed-data","objects":{"0":{}}}`, `{"type":"observed-data","objects":{"0":{}}}`},
		{"object with objects before its type", `{"objects":{"0":{}},"type":"observed-data"}`, `{"objects":{"0":{}},"type":"observed-data"}`},
		{"object with a list of objects", `{"type":"x-any","objects":[{}]}`, `{"type":"x-any","objects":[{}]}`},
		{"object without type", `{"x":1}`, `{"x":1}`},
		{"empty object", `{}`, `{}`},
		{"lines", a + "\n" + b + "\r\n\n" + a, a + "|" + b + "|" + a},
		{"run together", a + b, a + "|" + b},
		{"several bundles", `{"type":"bundle","objects":[` + a + `]}{"type":"bundle","objects":[` + b + `]}[` + a + `]`, a + "|" + b + "|" + a},
	} {
		items, bad, end := drain(strings.NewReader(c.text), DefaultLimits())
		if !errors.Is(end, io.EOF) || len(bad) > 0 || raws(items) != c.want {
			t.Errorf("%s: %s, %v, %v", c.name, raws(items), bad, end)
		}
		for i, item := range items {
			line := 1 + strings.Count(c.text[:item.Byte], "\n")
			if item.Index != i || item.Line != line || !strings.HasPrefix(c.text[item.Byte:], string(item.Raw)) {
				t.Errorf("%s: item %d stands at %d, line %d, want line %d", c.name, item.Index, item.Byte, item.Line, line)
			}
		}
		slow, _, end := drain(iotest.OneByteReader(strings.NewReader(c.text)), DefaultLimits())
		if !errors.Is(end, io.EOF) || raws(slow) != c.want {
			t.Errorf("%s, byte for byte: %s, %v", c.name, raws(slow), end)
		}
		packed, _, end := drain(bytes.NewReader(pack(c.text)), DefaultLimits())
		if !errors.Is(end, io.EOF) || raws(packed) != c.want {
			t.Errorf("%s, packed: %s, %v", c.name, raws(packed), end)
		}
	}
}

func pack(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

// TestReaderRefuses goes through documents that break. Each error must say
// what and where, and come after the whole objects.
func TestReaderRefuses(t *testing.T) {
	a := `{"type":"a"}`
	for _, c := range []struct {
		name, text string
		whole      int
		says, hint string
	}{
		{"empty", "", 0, "it is empty", "bundle"},
		{"blank", " \n\t", 0, "it is empty", "bundle"},
		{"text", "hello", 0, "byte 0 (line 1): found 'h' where { or [ should begin", "in JSON"},
		{"after a line", "\n  ioc,value", 0, "byte 3 (line 2): found 'i'", "in JSON"},
		{"byte order mark", "\xef\xbb\xbf{}", 0, "byte order mark", "without BOM"},
		{"UTF-16", "\xff\xfe{\x00", 0, "UTF-16", "without BOM"},
		{"XML", "<stix:STIX_Package>", 0, "XML", "elevator"},
		{"zip", "PK\x03\x04xxxx", 0, "zip archive", "unpack"},
		{"MISP", `{"Event":{"id":"1","Attribute":[]}}`, 0, "looks like a MISP event", "misp-stix"},
		{"MISP in a response", `{"response":[{"Event":{}}]}`, 0, "looks like a MISP event", "misp-stix"},
		{"truncated bundle", `{"type":"bundle","objects":[` + a + "," + a + ",\n" + `{"type":"c","na`, 2, "(line 2): the document ends in the middle: it is truncated; 2 whole objects", "again"},
		{"truncated behind an object", `{"type":"bundle","objects":[` + a, 1, "truncated; 1 whole objects", "again"},
		{"truncated behind the list", `{"type":"bundle","objects":[` + a + `]`, 1, "truncated; 1 whole objects", "again"},
		{"truncated in a name", `{"ty`, 0, "truncated", "again"},
		{"no comma", `[` + a + a + `]`, 1, `'{' where a comma or ] should stand`, ""},
		{"comma at the end", `[` + a + `,]`, 1, `']' where a value should stand`, ""},
		{"wrong bracket", `[{"a":[1}]`, 0, "'}' closes what is not open", ""},
		{"text behind", `[` + a + `] x`, 1, "'x' behind the end of the document", ""},
		{"lost quote", `[` + a + ",\n{\"type\":\"b},\n{\"type\":\"c\"}\n]", 1, "a string that runs over the end of a line at byte 27 may lack its quote", ""},
		{"type twice", `{"type":"bundle","type":"bundle","objects":[]}`, 0, `"type" stands twice`, ""},
		{"objects twice", `{"type":"bundle","objects":[` + a + `],"objects":[]}`, 1, `"objects" stands twice`, ""},
		{"objects no list", `{"type":"bundle","objects":{}}`, 0, "must be a list", ""},
		{"another type", `{"objects":[` + a + `],"type":"x"}`, 1, "its type is not bundle", ""},
		{"no colon", `{"type":"bundle","x" 1}`, 0, "where a colon should stand", ""},
		{"name no string", `{"type":"bundle",x:1}`, 0, "where the name of a property should stand", ""},
	} {
		items, bad, end := drain(strings.NewReader(c.text), DefaultLimits())
		if len(items) != c.whole || len(bad) > 0 {
			t.Errorf("%s: %d objects, %v", c.name, len(items), bad)
		}
		if protocol.KindOf(end) != protocol.Invalid || !strings.Contains(fmt.Sprint(end), c.says) || !strings.Contains(protocol.HintOf(end), c.hint) {
			t.Errorf("%s: %v (hint %q)", c.name, end, protocol.HintOf(end))
		}
	}
}

func TestReaderDamagedGzip(t *testing.T) {
	whole := pack(`[` + strings.Repeat(`{"type":"a"},`, 1000) + `{}]`)
	if _, _, end := drain(bytes.NewReader(whole[:len(whole)/2]), DefaultLimits()); protocol.KindOf(end) != protocol.Invalid || !strings.Contains(end.Error(), "truncated") {
		t.Error(end)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1
	if _, _, end := drain(bytes.NewReader(flipped), DefaultLimits()); protocol.KindOf(end) != protocol.Invalid || !strings.Contains(end.Error(), "damaged") {
		t.Error(end)
	}
	if _, _, end := drain(bytes.NewReader(pack(string(whole))), DefaultLimits()); protocol.KindOf(end) != protocol.Invalid || !strings.Contains(end.Error(), "gzip twice") {
		t.Error(end)
	}
	broken := errors.New("the disk is gone")
	if _, _, end := drain(io.MultiReader(strings.NewReader(`[{},`), iotest.ErrReader(broken)), DefaultLimits()); !errors.Is(end, broken) || protocol.KindOf(end) != protocol.Other {
		t.Error(end)
	}
}

// TestReaderGoesOn names single bad objects and returns all others.
func TestReaderGoesOn(t *testing.T) {
	limits := DefaultLimits()
	limits.Object, limits.Depth = 1000, 10
	good := `{"type":"a"}`
	for name, bad := range map[string]string{
		"big":    `{"type":"` + strings.Repeat("x", 200<<10) + `"}`,
		"deep":   `{"type":` + strings.Repeat("[", 10) + strings.Repeat("]", 10) + `}`,
		"number": `12`, "text": `"{"`, "list": `[{}]`, "null": `null`,
	} {
		text := `{"type":"bundle","objects":[` + good + ",\n" + bad + "," + good + `]}`
		items, single, end := drain(strings.NewReader(text), limits)
		if !errors.Is(end, io.EOF) || len(items) != 2 || len(single) != 1 || items[1].Index != 2 {
			t.Errorf("%s: %d objects, %v, %v", name, len(items), single, end)
			continue
		}
		kind := protocol.KindOf(single[0])
		if single[0].Item.Index != 1 || single[0].Item.Line != 2 || !strings.HasPrefix(single[0].Error(), "object 1 at byte 42 (line 2): ") ||
			(kind != protocol.Limit) != (name != "big" && name != "deep") {
			t.Errorf("%s: %+v, %v", name, single[0].Item, single[0])
		}
	}
	items, single, end := drain(strings.NewReader(good+`{"x":"`+strings.Repeat("x", 2000)+`"}`+good), limits)
	if !errors.Is(end, io.EOF) || len(items) != 2 || len(single) != 1 || protocol.KindOf(single[0]) != protocol.Limit {
		t.Errorf("one after the other: %d, %v, %v", len(items), single, end)
	}
}

// repeated is a reader of a text many times over.
type repeated struct {
	text  string
	times int
	rest  string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.times == 0 {
			return 0, io.EOF
		}
		r.times--
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// TestReaderMemory reads documents of a hundred megabytes. What is held at once
// must not grow with them.
func TestReaderMemory(t *testing.T) {
	const megabyte = 1 << 20
	for _, c := range []struct {
		name, begin, text string
		kind              protocol.Kind
	}{
		{"arrays", "", strings.Repeat("[", megabyte), protocol.Limit},
		{"objects", "[", strings.Repeat(`{"a":`, megabyte/5), protocol.Limit},
		{"a string", `[{"type":"`, strings.Repeat("x", megabyte), protocol.Invalid},
		{"a name", `{"`, strings.Repeat("x", megabyte), protocol.Invalid},
		{"a number", `[1`, strings.Repeat("1", megabyte), protocol.Invalid},
		{"blanks", `[`, strings.Repeat(" \n", megabyte/2), protocol.Invalid},
		{"a bundle of other things", `{"type":"bundle","x":[`, strings.Repeat(`{"objects":[]},`, megabyte/15), protocol.Invalid},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, end := drain(io.MultiReader(strings.NewReader(c.begin), &repeated{text: c.text, times: 100}), DefaultLimits())
		runtime.ReadMemStats(&after)
		if protocol.KindOf(end) != c.kind {
			t.Errorf("%s: %v", c.name, end)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8*megabyte {
			t.Errorf("%s: took %d bytes of memory", c.name, grown)
		}
	}
}

func TestBundleWriter(t *testing.T) {
	for n := range 3 {
		var b bytes.Buffer
		w := NewBundleWriter(&b, "bundle--"+uuid)
		want := make([]string, n)
		for i := range want {
			want[i] = sdo("tool", fmt.Sprintf(`"name":"%d"`, i))
			if err := w.Write([]byte(want[i])); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		items, bad, end := drain(&b, DefaultLimits())
		if !errors.Is(end, io.EOF) || len(bad) > 0 || raws(items) != strings.Join(want, "|") {
			t.Errorf("%d: %s, %v, %v", n, raws(items), bad, end)
		}
	}
	w := NewBundleWriter(failing{}, "x")
	w.Write([]byte("{}"))
	if err := w.Close(); !errors.Is(err, errFailing) {
		t.Errorf("a failed write was not told: %v", err)
	}
}

var errFailing = errors.New("no room")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFailing }

func FuzzReader(f *testing.F) {
	for _, text := range []string{
		`{"type":"bundle","objects":[{"a":"]"},2]}`, `[{},{}]`, "{}\n{}", `{"objects":[{}],"type":"bundle"}`, `{"Event":{}}`, string(pack(`[{}]`)), `["\`, `[[[[`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		limits := Limits{Object: 200, Depth: 5, Members: 10, List: 10, String: 50, Pattern: 50}
		items, bad, end := drain(bytes.NewReader(text), limits)
		slow, slowBad, slowEnd := drain(iotest.OneByteReader(bytes.NewReader(text)), limits)
		if raws(items) != raws(slow) || len(bad) != len(slowBad) || fmt.Sprint(end) != fmt.Sprint(slowEnd) {
			t.Fatalf("%q: %s %v %v; byte for byte %s %v %v", text, raws(items), bad, end, raws(slow), slowBad, slowEnd)
		}
		plain := len(text) == 0 || text[0] != 0x1f
		for i, item := range items {
			if len(item.Raw) == 0 || item.Raw[0] != '{' || len(item.Raw) > limits.Object || i > 0 && item.Index <= items[i-1].Index {
				t.Fatalf("%q: item %+v", text, item)
			}
			if plain && !bytes.HasPrefix(text[item.Byte:], item.Raw) {
				t.Fatalf("%q: item %+v is not where it says", text, item)
			}
		}
		if kind := protocol.KindOf(end); !errors.Is(end, io.EOF) && kind != protocol.Invalid && kind != protocol.Limit {
			t.Fatalf("%q: %v", text, end)
		}
	})
}
