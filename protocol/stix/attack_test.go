package stix

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"entente/protocol"
)

// attackFile opens one of the real bundles, or skips the test.
func attackFile(t testing.TB, name string) *os.File {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", "attack", name)
	f, err := os.Open(path)
	if err != nil {
		t.Skip("the real data is not here:", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// readAll reads a document to its end.
func readAll(t testing.TB, in io.Reader) []Item {
	t.Helper()
	r, err := NewReader(in, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var items []Item
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items
		}
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
}

// TestAttack holds the counts that are known of the three real bundles: no
// object is refused, all marked ones carry statements only, and twelve
// references to data sources lead nowhere.
func TestAttack(t *testing.T) {
	counts := map[string]int{"enterprise-attack-2.1.json.gz": 24771, "ics-attack-2.1.json.gz": 1826, "mobile-attack-2.1.json.gz": 2148}
	marked, dangling := 0, 0
	for name, want := range counts {
		items := readAll(t, attackFile(t, name))
		if len(items) != want {
			t.Errorf("%s: %d objects, want %d", name, len(items), want)
		}
		held := make(map[string]*Object, len(items))
		for _, item := range items {
			o, err := Parse(item.Raw, DefaultLimits())
			if err != nil {
				t.Errorf("%s: object %d, line %d: %v", name, item.Index, item.Line, err)
				continue
			}
			held[o.ID] = o
		}
		for _, o := range held {
			for _, w := range o.Warnings {
				if w.Property != "x_mitre_data_source_ref" {
					t.Errorf("%s: %s: warning: %s %s", name, o.ID, w.Property, w.Text)
				}
			}
			if level := LevelOf(o, func(id string) *Object { return held[id] }); level.Problem != "" || level.Marking != protocol.NoMarking {
				t.Errorf("%s: %s: level %+v", name, o.ID, level)
			} else if len(level.Refs) > 0 {
				marked++
			}
			for _, ref := range o.Refs {
				if held[ref.Target] == nil && strings.HasSuffix(ref.Property, "x_mitre_data_source_ref") {
					dangling++
				}
			}
		}
	}
	if marked != 28742 {
		t.Errorf("%d objects carry statement markings only, want 28742", marked)
	}
	if dangling != 12 {
		t.Errorf("%d references to data sources lead nowhere, want 12", dangling)
	}
}

func BenchmarkParseAttack(b *testing.B) {
	items := readAll(b, attackFile(b, "enterprise-attack-2.1.json.gz"))
	size, limits := 0, DefaultLimits()
	for _, item := range items {
		size += len(item.Raw)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	p := NewParser(limits)
	for b.Loop() {
		for _, item := range items {
			if _, err := p.Parse(item.Raw); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/object")
}

// BenchmarkScanAttack is what the strict pass alone costs, beside the library
// that is as strict.
func BenchmarkScanAttack(b *testing.B) {
	items := readAll(b, attackFile(b, "enterprise-attack-2.1.json.gz"))
	size, limits := 0, DefaultLimits()
	for _, item := range items {
		size += len(item.Raw)
	}
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(int64(size))
		tape := make([]node, 0, 1<<12)
		for b.Loop() {
			for _, item := range items {
				s := scanner{raw: item.Raw, limits: limits, tape: tape}
				if err := s.scan(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("jsontext", func(b *testing.B) {
		b.SetBytes(int64(size))
		for b.Loop() {
			for _, item := range items {
				if !jsontext.Value(item.Raw).IsValid() {
					b.Fatal(item.Index)
				}
			}
		}
	})
}

func BenchmarkReadAttack(b *testing.B) {
	packed := attackFile(b, "enterprise-attack-2.1.json.gz")
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, bytes.NewReader(text))
	}
}
