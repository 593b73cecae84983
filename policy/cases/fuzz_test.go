package cases

import (
	"os"
	"testing"

	"entente/protocol"
)

// FuzzParse holds that no file of cases does more than be refused, and that what
// reads can be run.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(head + "    object: |\n      {\"type\": \"note\"}\n    expect: allow\n    readers: [cert]\n"))
	f.Add([]byte("cases: [{name: a, object: {file: some.json#x}, from: b, to: [], topic: c, expect: refuse}]\n"))
	f.Add([]byte("cases:\n  - ? a\n"))
	for _, name := range protocol.Templates() {
		text, err := os.ReadFile("testdata/" + name + ".tests.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("fuzzed", text)
		if err == nil {
			if len(file.Cases) == 0 {
				t.Error("a file without cases was read")
			}
			_, err = Run(t.Context(), alliance(t), Source{File: file, Samples: testSamples()})
		}
		if kind := protocol.KindOf(err); err != nil && kind != protocol.Invalid && kind != protocol.Limit {
			t.Errorf("%v, of kind %s", err, kind)
		}
	})
}
