package policy

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// readAttack reads objects and references out of an ATT&CK bundle, skipping the
// test where the data is absent. Every property of objects that is named like a
// reference counts, but created_by_ref and markings.
func readAttack(tb testing.TB, name string) []ClosureItem {
	tb.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "attack", name))
	if err != nil {
		tb.Skipf("the ATT&CK bundles are not here: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var bundle struct {
		Objects []map[string]any `json:"objects"`
	}
	if err := json.UnmarshalRead(z, &bundle); err != nil {
		tb.Fatal(err)
	}
	items := make([]ClosureItem, 0, len(bundle.Objects))
	for _, o := range bundle.Objects {
		delete(o, "created_by_ref")
		delete(o, "object_marking_refs")
		items = append(items, ClosureItem{ID: o["id"].(string), Refs: collectRefs(nil, o), Allowed: true})
	}
	return items
}

func collectRefs(refs []string, v any) []string {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			refs = collectRefs(refs, x)
		}
	case map[string]any:
		for k, x := range v {
			switch {
			case strings.HasSuffix(k, "_ref"):
				refs = append(refs, x.(string))
			case strings.HasSuffix(k, "_refs"):
				for _, target := range x.([]any) {
					refs = append(refs, target.(string))
				}
			default:
				refs = collectRefs(refs, x)
			}
		}
	}
	return refs
}

// TestCloseAttack closes over real bundles. Some data components name no data
// source ("x_mitre_data_source_ref": ""): each such hole must be found, and what
// is lost with it must be no more than what leads there.
func TestCloseAttack(t *testing.T) {
	for name, holes := range map[string]int{"enterprise-attack-2.1.json.gz": 7, "ics-attack-2.1.json.gz": 5, "mobile-attack-2.1.json.gz": 0} {
		t.Run(name, func(t *testing.T) {
			items := readAttack(t, name)
			start := time.Now()
			visible, missing := Close(items, nil)
			took := time.Since(start)
			seen, found, lost := map[string]bool{}, 0, 0
			for i, item := range items {
				if visible[i] {
					seen[item.ID] = true
				} else {
					lost++
				}
				for _, ref := range missing[i] {
					if ref == "" {
						found++
					}
				}
			}
			if found != holes {
				t.Errorf("%d references to nothing, want %d", found, holes)
			}
			for i, item := range items {
				bad := 0
				for _, ref := range item.Refs {
					if !seen[ref] {
						bad++
					}
				}
				if visible[i] == (bad > 0) || bad != len(missing[i]) {
					t.Fatalf("%s: visible %v with %d unseen references, reported %v", item.ID, visible[i], bad, missing[i])
				}
			}
			t.Logf("%d objects, %d not visible, in %v", len(items), lost, took)
		})
	}
}

// BenchmarkCloseAttack closes over the 24,771 objects and 70,751 references of
// the enterprise bundle.
func BenchmarkCloseAttack(b *testing.B) {
	items := readAttack(b, "enterprise-attack-2.1.json.gz")
	b.ReportAllocs()
	for b.Loop() {
		Close(items, nil)
	}
}
