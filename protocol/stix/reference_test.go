package stix

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The tests of this file hold what is written for speed against what is written
// to be obviously right.

var (
	timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	idForm   = regexp.MustCompile(`^([a-z][a-z0-9]*(?:-[a-z0-9]+)*)--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// plainTimestamp is parseTimestamp by regular expression and package time.
func plainTimestamp(text string) (time.Time, bool) {
	if !timeForm.MatchString(text) {
		return time.Time{}, false
	}
	whole, fraction := text[:19], strings.TrimPrefix(text[19:len(text)-1], ".")
	minute, leap := strings.CutSuffix(whole, "T23:59:60")
	if leap {
		whole = minute + "T23:59:59"
	}
	t, err := time.Parse(time.DateOnly+"T"+time.TimeOnly, whole)
	if err != nil {
		return time.Time{}, false
	}
	if leap {
		t = t.Add(time.Second)
	}
	nanos, err := strconv.Atoi((fraction + "000000000")[:9])
	return t.Add(time.Duration(nanos)), err == nil
}

func checkTimestamp(t interface{ Fatalf(string, ...any) }, text string) {
	got, ok := parseTimestamp([]byte(text))
	want, wantOK := plainTimestamp(text)
	if ok != wantOK || ok && got != want {
		t.Fatalf("%s: %v, %v, want %v, %v", text, got, ok, want, wantOK)
	}
}

func TestTimestampReference(t *testing.T) {
	for year := 0; year <= 9999; year++ {
		for _, day := range []string{"01-01", "02-28", "02-29", "03-01", "12-31"} {
			text := fmt.Sprintf("%04d-%sT23:59:59.5Z", year, day)
			got, ok := parseTimestamp([]byte(text))
			want, err := time.Parse(time.RFC3339Nano, text)
			if ok != (err == nil) || ok && got != want {
				t.Fatalf("%s: %v, %v, want %v, %v", text, got, ok, want, err)
			}
		}
	}
	for _, text := range []string{
		"2016-12-31T23:59:60Z", "2016-12-31T23:59:60.25Z", "2016-12-31T22:59:60Z", "2016-12-31T23:59:61Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567899Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00z", "2026-13-01T00:00:00Z",
	} {
		checkTimestamp(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringMatching(`[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,12})?Z`).Draw(t, "text"))
		if rapid.Bool().Draw(t, "damaged") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		checkTimestamp(t, string(text))
	})
}

func TestIDReference(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, text string) {
		got, ok := typeOfID([]byte(text))
		want := idForm.FindStringSubmatch(text)
		if want != nil && (len(want[1]) < 3 || len(want[1]) > 250) {
			want = nil
		}
		if ok != (want != nil) || ok && string(got) != want[1] {
			t.Fatalf("%q: %q, %v, want %q", text, got, ok, want)
		}
	}
	for _, objectType := range []string{"", "a", "ab", "abc", "a-b", "a--b", "-ab", "ab-", "1ab", "x" + strings.Repeat("y", 249), "x" + strings.Repeat("y", 250)} {
		check(t, objectType+"--"+uuid)
		check(t, objectType+"-"+uuid)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringMatching(`[a-z0-9-]{1,6}--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).Draw(t, "text"))
		if rapid.Bool().Draw(t, "damaged") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		check(t, string(text))
	})
}

func TestClasses(t *testing.T) {
	const digits, lower, upper = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c, members := range map[class]string{
		lowerHex: digits + "abcdef", anyHex: digits + "abcdefABCDEF", anyBase64: digits + lower + upper + "+/",
		inName: digits + lower + "_", inAddress: digits + "abcdefABCDEF:./",
	} {
		for b := range 256 {
			if got, want := all([]byte{byte(b)}, c), strings.IndexByte(members, byte(b)) >= 0; got != want {
				t.Errorf("class %b, byte %q: %v", c, byte(b), got)
			}
		}
		if all(members+"\x00", c) || !all(members, c) {
			t.Errorf("class %b does not hold its members, or a zero byte", c)
		}
	}
}

func TestPlainReference(t *testing.T) {
	stops := func(c byte) bool { return c < ' ' || c == '"' || c == '\\' || c >= 0x80 }
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SampledFrom([]byte("a z!#[]~\x7f\x1f\x20\x21\x22\x23\x5b\x5c\x5d\x00\x80\x9f\xa2\xdc\xff"))
		raw := rapid.SliceOfN(some, 0, 40).Draw(t, "raw")
		from := rapid.IntRange(0, len(raw)).Draw(t, "from")
		want := slices.IndexFunc(raw[from:], stops)
		if want += from; want < from {
			want = len(raw)
		}
		if got := plain(raw, from); got != want {
			t.Fatalf("%q from %d: %d, want %d", raw, from, got, want)
		}
	})
}

// TestNameBits holds that the members of everyday objects need no comparison,
// or one: their names have bits of their own.
func TestNameBits(t *testing.T) {
	for _, c := range everyday() {
		s := scanner{raw: []byte(c.text), limits: DefaultLimits()}
		if err := s.scan(); err != nil {
			t.Fatal(c.name, err.text)
		}
		var seen uint64
		shared := 0
		for member := range s.members(0) {
			bit := nameBit(s.content(member))
			if seen&bit != 0 {
				shared++
			}
			seen |= bit
		}
		if shared > 1 {
			t.Errorf("%s: %d names share a bit with one before", c.name, shared)
		}
	}
}

// TestParserAgain reads objects of all sorts with one Parser in any order: each
// must come out as from a new one, and stay so.
func TestParserAgain(t *testing.T) {
	texts := []string{
		sco("file", `"name":"a"`), sdo("x-any", `"x_list":[`+strings.Repeat(`{"a_ref":"b"},`, 400)+`1]`), `{"type":"tool"`, `[]`, ``,
		sdo("location", `"latitude":1`), sdo("malware", `"is_family":false,"labels":["a","a\u0062"],"first_seen":"2026-01-01T00:00:00Z"`),
		sdo("report", `"name":"r","published":"2026-01-01T00:00:00Z","object_refs":["`+strings.Repeat(id("tool")+`","`, 40)+id("malware")+`"]`),
		sdo("marking-definition", `"definition_type":"tlp","definition":{"tlp":"red"}`), sdo("tool", `"name":1`),
	}
	for _, c := range everyday() {
		texts = append(texts, c.text)
	}
	type answer struct {
		object *Object
		err    string
	}
	ask := func(o *Object, err error) answer { return answer{o, fmt.Sprint(err)} }
	rapid.Check(t, func(t *rapid.T) {
		p := NewParser(DefaultLimits())
		var read []string
		var answers []answer
		for _, text := range rapid.SliceOfN(rapid.SampledFrom(texts), 1, 12).Draw(t, "texts") {
			read, answers = append(read, text), append(answers, ask(p.Parse([]byte(text))))
		}
		for i, text := range read {
			if want := ask(Parse([]byte(text), DefaultLimits())); !reflect.DeepEqual(answers[i], want) {
				t.Fatalf("%s\nread again %+v\nread alone %+v", text, answers[i], want)
			}
		}
	})
}

// TestParserAllocations holds what an everyday object costs: itself, its
// strings, and its lists.
func TestParserAllocations(t *testing.T) {
	for _, c := range everyday() {
		raw, p := []byte(c.text), NewParser(DefaultLimits())
		count := testing.AllocsPerRun(100, func() {
			if _, err := p.Parse(raw); err != nil {
				t.Fatal(err)
			}
		})
		if count > 5 {
			t.Errorf("%s: %.0f allocations, want 5 at most", c.name, count)
		}
	}
}
