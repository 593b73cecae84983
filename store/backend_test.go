package store

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
)

func labDisk(t testing.TB, dir string) backend {
	t.Helper()
	log := badgerLog{slog.New(slog.NewTextHandler(io.Discard, nil)), func(text string) { t.Errorf("the database reported: %s", text) }}
	d, err := openDisk(dir, 48<<20, sizesFor(48<<20, 1<<40), true, log)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBackendContract runs the same random commits and reads over both
// backends and a plain map.
func TestBackendContract(t *testing.T) {
	for name, open := range map[string]func() backend{
		"disk":   func() backend { return labDisk(t, t.TempDir()) },
		"memory": func() backend { return newMemory() },
	} {
		t.Run(name, func(t *testing.T) {
			db := open()
			model := map[string]string{}
			r := rand.New(rand.NewPCG(1, 2))
			key := func() []byte { return fmt.Appendf(nil, "%c/%03d", "abc"[r.IntN(3)], r.IntN(200)) }
			for round := range 60 {
				var changes []change
				for range r.IntN(40) {
					c := change{key: key(), value: bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(900))}
					if c.delete = r.IntN(4) == 0; c.delete {
						delete(model, string(c.key))
						c.value = nil
					} else {
						model[string(c.key)] = string(c.value)
					}
					changes = append(changes, c)
				}
				if err := db.commit(changes); err != nil {
					t.Fatal(err)
				}
				compare(t, db, model, []byte{"abc"[round%3], '/'}, key(), round%2 == 0)
			}
			if keys, size := db.room(); keys < 5000 || size < 1<<20 {
				t.Errorf("room for %d keys, %d bytes: too little for a message", keys, size)
			}
			if err := db.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func compare(t *testing.T, db backend, model map[string]string, prefix, from []byte, reverse bool) {
	t.Helper()
	var want, got []string
	for k := range model {
		if bytes.HasPrefix([]byte(k), prefix) {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	if reverse {
		slices.Reverse(want)
	}
	if bytes.HasPrefix(from, prefix) {
		want = slices.DeleteFunc(want, func(k string) bool { return k != string(from) && (k < string(from)) != reverse })
	} else {
		from = nil
	}
	err := db.scan(prefix, from, reverse, func(k, v []byte) bool {
		if model[string(k)] != string(v) {
			t.Errorf("%s has %d bytes", k, len(v))
		}
		got = append(got, string(k))
		return true
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("scan of %s from %s, reverse %v: %v, %v, want %v", prefix, from, reverse, got, err, want)
	}
	for range 3 {
		k := []byte("b/100")
		v, err := db.get(k)
		model, there := model[string(k)]
		if err != nil || (v != nil) != there || string(v) != model {
			t.Fatalf("get: %d bytes, %v, want %v %d", len(v), err, there, len(model))
		}
	}
	found, err := db.exist([][]byte{prefix, []byte("d/")})
	if err != nil || found[0] != (slices.ContainsFunc(slices.Collect(keysOf(model)), func(k string) bool { return bytes.HasPrefix([]byte(k), prefix) })) || found[1] {
		t.Fatalf("exist: %v, %v", found, err)
	}
}

func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A scan sees one snapshot, whatever is committed meanwhile.
func TestScanIsASnapshot(t *testing.T) {
	for name, db := range map[string]backend{"disk": labDisk(t, t.TempDir()), "memory": newMemory()} {
		t.Run(name, func(t *testing.T) {
			set := func(n int) {
				if err := db.commit([]change{{key: fmt.Appendf(nil, "k%03d", n), value: []byte("v")}}); err != nil {
					t.Fatal(err)
				}
			}
			for n := 0; n < 20; n += 2 {
				set(n)
			}
			seen := 0
			err := db.scan([]byte("k"), nil, false, func(_, _ []byte) bool {
				set(seen*2 + 1)
				set(100 + seen)
				seen++
				return seen < 50
			})
			if err != nil || seen != 10 {
				t.Errorf("%d keys were seen of 10, %v", seen, err)
			}
			if err := db.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
