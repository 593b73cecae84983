package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write the files of testdata that tests compare with")

// vectorFile is one file of testdata/vectors: what a decoder must take and
// what it must refuse.
type vectorFile struct {
	About  string         `json:"about"`
	Keys   map[string]any `json:"keys,omitempty"`
	Accept []vector       `json:"accept"`
	Refuse []refusal      `json:"refuse,omitempty"`
}

type vector struct {
	Name  string         `json:"name"`
	Hex   string         `json:"hex"`
	Means map[string]any `json:"means,omitempty"`
}

type refusal struct {
	Name string `json:"name"`
	Hex  string `json:"hex"`
	Kind string `json:"kind"`
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refuse makes a refusal.
func refuse(name string, data []byte, kind Kind) refusal {
	return refusal{Name: name, Hex: hexOf(data), Kind: kind.String()}
}

func accept(name string, data []byte, means map[string]any) vector {
	return vector{Name: name, Hex: hexOf(data), Means: means}
}

// checkVectors compares the vectors that the test builds with the file, then
// gives what the file says to the decoder.
func checkVectors(t *testing.T, name string, built vectorFile, decode func([]byte) error) {
	t.Helper()
	path := filepath.Join("testdata", "vectors", name)
	text, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := loadVectors(t, name)
	if held, err := os.ReadFile(path); err != nil || !bytes.Equal(held, text) {
		t.Errorf("%s is not what the code makes (error %v): the format has changed, which it never may once released", path, err)
	}
	for _, v := range file.Accept {
		if err := decode(unhex(t, v.Hex)); err != nil {
			t.Errorf("%s: %s: %v", name, v.Name, err)
		}
	}
	for _, r := range file.Refuse {
		err := decode(unhex(t, r.Hex))
		if err == nil {
			t.Errorf("%s: %s was accepted", name, r.Name)
		} else if got := KindOf(err).String(); got != r.Kind {
			t.Errorf("%s: %s: %v is %q, not %q", name, r.Name, err, got, r.Kind)
		}
	}
}

func loadVectors(t testing.TB, name string) vectorFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Accept) == 0 {
		t.Fatalf("%s holds no vector", name)
	}
	return file
}

// seeds adds all vectors of a file to the corpus of a fuzz target.
func seeds(f *testing.F, name string) {
	file := loadVectors(f, name)
	for _, v := range file.Accept {
		f.Add(unhex(f, v.Hex))
	}
	for _, r := range file.Refuse {
		f.Add(unhex(f, r.Hex))
	}
}

// pair is one key and value of a CBOR map, already encoded, so that tests can
// break every rule of the encoding.
type pair struct{ key, value []byte }

type pairs []pair

func item(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cborEncoding.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pairsOf takes a valid map apart, in order.
func pairsOf(t testing.TB, data []byte) pairs {
	t.Helper()
	var m map[uint64]cbor.RawMessage
	if err := cborLenient.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	var p pairs
	for key := uint64(0); key < 100; key++ {
		if value, ok := m[key]; ok {
			p = append(p, pair{item(t, key), value})
		}
	}
	return p
}

func (p pairs) bytes() []byte {
	out := appendHead(nil, 5<<5, uint64(len(p)))
	for _, e := range p {
		out = append(append(out, e.key...), e.value...)
	}
	return out
}

func (p pairs) index(t testing.TB, key uint64) int {
	t.Helper()
	i := slices.IndexFunc(p, func(e pair) bool { return bytes.Equal(e.key, item(t, key)) })
	if i < 0 {
		t.Fatalf("no key %d", key)
	}
	return i
}

// with returns the map with the value of a key set, raw; a new key goes last.
func (p pairs) with(t testing.TB, key uint64, value []byte) pairs {
	t.Helper()
	out := slices.Clone(p)
	k := item(t, key)
	if i := slices.IndexFunc(p, func(e pair) bool { return bytes.Equal(e.key, k) }); i >= 0 {
		out[i].value = value
		return out
	}
	return append(out, pair{k, value})
}

// without returns the map less a key.
func (p pairs) without(t testing.TB, key uint64) pairs {
	t.Helper()
	i := p.index(t, key)
	return slices.Delete(slices.Clone(p), i, i+1)
}

// brokenMaps are the refusals that every map of the format has: its encoding is
// not deterministic. intKey is a key whose value is an integer under 24, and
// bytesKey one whose value is a byte string of 32 bytes.
func brokenMaps(t testing.TB, p pairs, intKey, bytesKey uint64) []refusal {
	t.Helper()
	swapped := slices.Clone(p)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	doubled := slices.Insert(slices.Clone(p), 2, p[1])
	longKey := slices.Clone(p)
	longKey[1].key = append([]byte{24}, longKey[1].key...)
	small := p[p.index(t, intKey)].value
	long := p[p.index(t, bytesKey)].value
	indefinite := append(append([]byte{0xbf}, p.bytes()[1:]...), 0xff)
	indefiniteBytes := append(append([]byte{0x5f}, long...), 0xff)
	cases := []refusal{
		refuse("no bytes", nil, Malformed),
		refuse("no map", []byte{0x80}, Malformed),
		refuse("null", []byte{0xf6}, Malformed),
		refuse("empty map", []byte{0xa0}, Malformed),
		refuse("cut short", p.bytes()[:len(p.bytes())-1], Malformed),
		refuse("trailing byte", append(p.bytes(), 0), Malformed),
		refuse("keys out of order", swapped.bytes(), Malformed),
		refuse("duplicate key", doubled.bytes(), Malformed),
		refuse("key not minimal", longKey.bytes(), Malformed),
		refuse("integer not minimal", p.with(t, intKey, append([]byte{24}, small...)).bytes(), Malformed),
		refuse("length not minimal", p.with(t, bytesKey, append([]byte{0x59, 0}, long[1:]...)).bytes(), Malformed),
		refuse("integer as float", p.with(t, intKey, []byte{0xf9, 0x3c, 0x00}).bytes(), Malformed),
		refuse("integer as null", p.with(t, intKey, []byte{0xf6}).bytes(), Malformed),
		refuse("negative integer", p.with(t, intKey, []byte{0x20}).bytes(), Malformed),
		refuse("bytes as text", p.with(t, bytesKey, append([]byte{0x78}, long[1:]...)).bytes(), Malformed),
		refuse("bytes as array of integers", p.with(t, bytesKey, item(t, slices.Repeat([]uint64{1}, 32))).bytes(), Malformed),
		refuse("bytes one short", p.with(t, bytesKey, item(t, make([]byte, 31))).bytes(), Malformed),
		refuse("bytes one long", p.with(t, bytesKey, item(t, make([]byte, 33))).bytes(), Malformed),
		refuse("tag", p.with(t, bytesKey, append([]byte{0xc0}, long...)).bytes(), Malformed),
		refuse("indefinite map", indefinite, Malformed),
		refuse("indefinite bytes", p.with(t, bytesKey, indefiniteBytes).bytes(), Malformed),
		refuse("unknown key 31", p.with(t, 31, []byte{0}).bytes(), Malformed),
		refuse("unknown key 64", p.with(t, 64, []byte{0}).bytes(), Malformed),
		refuse("unknown key 0", append(pairs{{[]byte{0}, []byte{0}}}, p...).bytes(), Malformed),
		refuse("text key", append(slices.Clone(p), pair{[]byte{0x61, 'x'}, []byte{0}}).bytes(), Malformed),
		refuse("extension with a float", p.with(t, 40, []byte{0xf9, 0x3c, 0x00}).bytes(), Malformed),
		refuse("extension not minimal", p.with(t, 40, []byte{24, 1}).bytes(), Malformed),
		refuse("extension with a tag", p.with(t, 40, []byte{0xc0, 0x60}).bytes(), Malformed),
		refuse("extension not UTF-8", p.with(t, 40, []byte{0x61, 0xff}).bytes(), Malformed),
		refuse("extension with undefined", p.with(t, 40, []byte{0xf7}).bytes(), Malformed),
		refuse("extension below -2^63", p.with(t, 40, []byte{0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0}).bytes(), Malformed),
		refuse("extension with a key of bytes", p.with(t, 40, []byte{0xa1, 0x41, 1, 1}).bytes(), Malformed),
		refuse("extension with a key that is true", p.with(t, 40, []byte{0xa1, 0xf5, 1}).bytes(), Malformed),
		refuse("extension with a key twice", p.with(t, 40, []byte{0xa2, 1, 1, 1, 1}).bytes(), Malformed),
		refuse("extension nested too deep", p.with(t, 40, append(bytes.Repeat([]byte{0x81}, 7), 0x80)).bytes(), Malformed),
		refuse("extension with 65 pairs", p.with(t, 40, manyPairs(65)).bytes(), Malformed),
		refuse("extensions out of order", p.with(t, 41, []byte{0}).with(t, 40, []byte{0}).bytes(), Malformed),
		refuse("extension before a known key", append(pairs{{[]byte{24, 40}, []byte{0}}}, p...).bytes(), Malformed),
	}
	return cases
}

// extended adds extensions of every type that they may have.
func extended(t testing.TB, p pairs) pairs {
	t.Helper()
	return p.with(t, 32, item(t, "for later")).
		with(t, 40, item(t, []any{uint64(1), -5, []byte{1, 2}, map[string]any{"a": true, "b": nil}})).
		with(t, 41, append(bytes.Repeat([]byte{0x81}, 6), 0x80)).
		with(t, 42, manyPairs(64)).
		with(t, 43, []byte{0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}).
		with(t, 63, item(t, uint64(1)<<63))
}

// manyPairs is a map with the keys from 0.
func manyPairs(n int) []byte {
	out := appendHead(nil, 5<<5, uint64(n))
	for i := range n {
		out = append(appendHead(out, cborUint, uint64(i)), 0)
	}
	return out
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
