package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"entente/protocol"
)

// damaged is a folder of a store, as it was left by a proper end or by a crash,
// with what it must say.
type damaged struct {
	cfg      Config
	dir      string
	author   *author
	messages []*protocol.Message
	files    map[string]image
}

// inChild is set in the environment of a process that may leave goroutines
// behind.
const inChild = "ENTENTE_TEST_CHILD"

// image is a file: its bytes up to the last that is not zero, and its size.
type image struct {
	data []byte
	size int64
}

func newDamaged(t *testing.T, crash bool) *damaged {
	t.Helper()
	d := &damaged{cfg: labConfig(t, t.TempDir())}
	d.author = newAuthor(t, d.cfg.Codec, "a", "feed")
	s := openLab(t, d.cfg)
	write := func(from, to int) {
		for n := from; n < to; n++ {
			// Long enough for the value log.
			o := [][]byte{simple(2 * n), bytes.Replace(simple(2*n+1), []byte(`"name":"`), fmt.Appendf(nil, `"description":"%x","name":"`, noise(n)), 1)}
			e, err := s.Append(context.Background(), d.author.log, d.author.sealer(o...), leaves(t, o...),
				[]protocol.AuditRow{{Kind: protocol.AuditMessage, Action: "publish", Peer: "p"}})
			if err != nil {
				t.Fatal(err)
			}
			d.messages = append(d.messages, e.Message)
		}
		run(t, s, func() { settled(t, s) })
	}
	write(0, 6)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openLab(t, d.cfg)
	write(6, 12)
	d.dir = filepath.Join(t.TempDir(), "left")
	if !crash {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyStill(d.dir, d.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	d.files = map[string]image{}
	err := fs.WalkDir(os.DirFS(d.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name == "ballast" {
			return err
		}
		data, err := os.ReadFile(filepath.Join(d.dir, name))
		d.files[name] = image{bytes.TrimRight(data, "\x00"), int64(len(data))}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// lay writes the files into a fresh folder, one of them with one bit flipped.
func (d *damaged) lay(t *testing.T, name string, at int) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, image := range d.files {
		path, data := filepath.Join(dir, file), image.data
		if file == name {
			data = bytes.Clone(data)
			data[at] ^= 1 << (at % 8)
		}
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Truncate(path, image.size)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func noise(n int) []byte {
	h := labHash(fmt.Sprint("noise", n))
	var out []byte
	for range 20 {
		h = labHash(string(h[:]))
		out = append(out, h[:]...)
	}
	return out
}

// look opens a folder and reads everything. It returns the error that was
// noticed, or "", and fails the test where without one an answer is false, or
// where something is missing that should be there: all, or with torn all up to
// some message, as if the last ones had never been written.
func (d *damaged) look(t *testing.T, dir, what string, torn bool) (noticed string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s: panic: %v", what, r)
		}
	}()
	cfg := d.cfg
	cfg.Dir = dir
	cfg.Free = func(string) (int64, int64, error) { return 16 << 20, 1 << 41, nil } // for no ballast
	s, err := Open(cfg)
	if err != nil {
		if protocol.HintOf(err) == "" {
			t.Errorf("%s: no way out: %v", what, err)
		}
		return err.Error()
	}
	defer s.Close()
	note := func(err error) {
		if err != nil && noticed == "" {
			noticed = err.Error()
		}
	}
	held := 0
	note(s.Range(d.author.log, 0, 99, func(_ uint64, frame []byte) bool {
		if held++; !bytes.Equal(frame, d.messages[held-1].Frame()) {
			t.Errorf("%s: message %d is another", what, held)
		}
		return true
	}))
	rows := 0
	note(s.AuditRows(AuditQuery{}, func(r protocol.AuditRow) bool { rows++; return r.Peer == "p" }))
	missing := ""
	for i, m := range d.messages {
		for j := range 2 {
			v, err := s.Get(indicatorID(2*i + j))
			note(err)
			if err == nil && len(v) == 1 && !bytes.Equal(v[0].Raw, m.Object(j)) {
				t.Errorf("%s: object %d of message %d is another", what, j, i+1)
			}
			if err == nil && (len(v) == 1) != (i < held) {
				missing += fmt.Sprintf(" %d versions of object %d of message %d,", len(v), j, i+1)
			}
		}
	}
	if noticed == "" && (missing != "" || rows != held || (held != len(d.messages) && !torn)) {
		t.Errorf("%s: nothing was noticed, but there are%s %d messages and %d rows of %d", what, missing, held, rows, len(d.messages))
	}
	return noticed
}

// step goes through a file in so many steps, and closely through its end:
// that of a table says where all else is.
func step(at, size, few int) int {
	if left := size - at; left > 16 {
		return max(1, min(size/few, left-16))
	}
	return 3
}

// TestFlippedBitsOnDisk flips single bits in every file of a store: an answer
// is right, or an error says that something is wrong.
//
// The log of a memtable is the exception. From the first entry that is not whole
// Badger takes it for torn by a crash, which it cannot tell from a flipped bit,
// and goes on with what lies before: whole messages, as if the last ones had
// never been written. Peers hold those.
func TestFlippedBitsOnDisk(t *testing.T) {
	if os.Getenv(inChild) == "" {
		// Badger leaves goroutines behind when it cannot open, and a panic of one of
		// them could not be caught: this goes to a process of its own.
		child := exec.Command(os.Args[0], "-test.run=^TestFlippedBitsOnDisk$", fmt.Sprintf("-test.short=%v", testing.Short()))
		child.Env = append(os.Environ(), inChild+"=1")
		if out, err := child.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	few := 8 // bits a file
	if testing.Short() {
		few = 4
	}
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash %v", crash), func(t *testing.T) {
			d := newDamaged(t, crash)
			if got := d.look(t, d.lay(t, "", 0), "whole", false); got != "" {
				t.Fatalf("a whole store says %s", got)
			}
			for _, name := range slices.Sorted(maps.Keys(d.files)) {
				size := len(d.files[name].data)
				noticed, tried := 0, 0
				for at := 0; at < size; at += step(at, size, few) {
					tried++
					if d.look(t, d.lay(t, name, at), fmt.Sprintf("%s, byte %d of %d", name, at, size), strings.HasSuffix(name, ".mem")) != "" {
						noticed++
					}
				}
				// Where all is in use, all that is flipped must be seen.
				if (strings.HasSuffix(name, ".sst") || name == "highwater") && noticed < tried {
					t.Errorf("%s: %d of %d flipped bits were noticed", name, noticed, tried)
				}
			}
		})
	}
}
