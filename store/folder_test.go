package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"entente/protocol"
)

func TestWatermark(t *testing.T) {
	const mib, gib = int64(1) << 20, int64(1) << 30
	for _, c := range []struct{ memory, total, want int64 }{
		{192 * mib, 4096 * gib, 2 * gib},
		{192 * mib, 100 * gib, 2 * gib},
		{192 * mib, 20 * gib, gib},
		{192 * mib, 6 * gib, 384 * mib},  // four claims of 32 + 64
		{192 * mib, 256 * mib, 48 * mib}, // two claims of 8 + 16
		{1536 * mib, 100 * gib, 2 * gib},
	} {
		sizes := sizesFor(c.memory, c.total)
		got := watermark(c.total, sizes)
		claim := sizes.memtable + sizes.valueLog
		if got < 2*claim {
			t.Errorf("disk of %d MiB: %d MiB do not cover two claims of %d", c.total/mib, got/mib, claim/mib)
		}
		if got != c.want {
			t.Errorf("memory %d, disk %d MiB: %d MiB, want %d", c.memory/mib, c.total/mib, got/mib, c.want/mib)
		}
	}
}

// A disk that fills up: nothing is taken in, reads go on, and so does writing
// once there is room.
func TestDiskFillsUp(t *testing.T) {
	cfg := labConfig(t, t.TempDir())
	var free atomic.Int64
	free.Store(1 << 40)
	cfg.Free = func(string) (int64, int64, error) { return free.Load(), 1 << 41, nil }
	s := openLab(t, cfg)
	a := newAuthor(t, cfg.Codec, "a", "feed")
	put(t, s, a.next(simple(1)))
	free.Store(1 << 20)
	m := a.next(simple(2))
	arrived := arrival(t, m)
	ctx := context.Background()
	_, _, err := s.Put(ctx, m, arrived.Leaves, nil)
	if protocol.KindOf(err) != protocol.Full || protocol.HintOf(err) == "" || !strings.Contains(err.Error(), cfg.Dir) {
		t.Fatalf("put on a full disk: %v", err)
	}
	if _, err := s.Append(ctx, a.log, a.sealer(simple(3)), nil, nil); protocol.KindOf(err) != protocol.Full {
		t.Fatalf("append on a full disk: %v", err)
	}
	if st := s.Stats(); st.Accepting || st.Problem == "" || st.Free != 1<<20 {
		t.Fatalf("a full disk says %+v", st)
	}
	if v, err := s.Get(indicatorID(1)); err != nil || len(v) != 1 {
		t.Fatalf("reading on a full disk: %v", err)
	}
	free.Store(1 << 40)
	if outcome, _ := put(t, s, m); outcome != Stored || !s.Stats().Accepting {
		t.Fatalf("with room again: %v, %+v", outcome, s.Stats())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// What was set aside is given up so that it opens once more; then no more.
	free.Store(4096)
	s = openLab(t, cfg)
	if s.Stats().Accepting {
		t.Fatal("a full disk takes something in")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); protocol.KindOf(err) != protocol.Full || protocol.HintOf(err) == "" {
		t.Fatalf("opening on a full disk: %v", err)
	}
	free.Store(1 << 40)
	if s := openLab(t, cfg); s.Position(a.log) != m.Position() {
		t.Fatal("a message is gone")
	}
}

// A small file system that really fills up: the watermark must hold before the
// database meets the end of the disk, which would kill the process.
func TestSmallDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a file system of its own needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=192m"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	cfg := labConfig(t, filepath.Join(dir, "store"))
	cfg.Free = nil
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := newAuthor(t, cfg.Codec, "a", "feed")
	// Bodies that do not compress: 300 kB a message.
	noise := make([]byte, 220<<10)
	r := labHash("noise")
	for i := range noise {
		if i%32 == 0 {
			r = labHash(string(r[:]))
		}
		noise[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[r[i%32]&63]
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		o := bytes.Replace(simple(i), []byte(`"name":"indicator `), append(append([]byte(`"description":"`), noise...), `","name":"indicator `...), 1)
		_, err := s.Append(ctx, a.log, a.sealer(o), []Leaf{{Position: 0, ID: indicatorID(i), Allowed: true}}, nil)
		if protocol.KindOf(err) == protocol.Full {
			if i < 100 {
				t.Errorf("full after %d messages: %v", i, err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i > 2000 {
			t.Fatal("300 MB fit on 192 MB")
		}
	}
	held := s.Position(a.log)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	if s.Position(a.log) != held {
		t.Errorf("position %d after opening again, was %d", s.Position(a.log).Sequence, held.Sequence)
	}
	if v, err := s.Get(indicatorID(int(held.Sequence) - 1)); err != nil || len(v) != 1 {
		t.Errorf("the last object: %d versions, %v", len(v), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestDocuments(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenDocuments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "..", "a/b", "../a", "A", "a.b", strings.Repeat("a", 129), "a\x00"} {
		if err := d.Save("agreements", bad, 1, []byte("x"), nil); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("name %q: %v", bad, err)
		}
		if err := d.Save(bad, "name", 1, []byte("x"), nil); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("kind %q: %v", bad, err)
		}
	}
	steps := []struct {
		version             uint64
		payload, signatures string
		kind                protocol.Kind
	}{
		{1, "one", "s1", protocol.Other}, {1, "one", "s1\ns2", protocol.Other}, {1, "two", "s1", protocol.Conflict}, {2, "two", "", protocol.Other},
	}
	for i, s := range steps {
		err := d.Save("agreements", "pact", s.version, []byte(s.payload), []byte(s.signatures))
		if protocol.KindOf(err) != s.kind || (s.kind == protocol.Other) != (err == nil) {
			t.Errorf("step %d: %v", i, err)
		}
	}
	// What is not ours is passed over.
	for _, name := range []string{"notes.txt", "pact.v01.yaml", "pact.v3.sigs", ".new-1", "pact.v99999999999999999999.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, "agreements", name), []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	err = d.Load(func(kind, name string, version uint64, payload, signatures []byte) error {
		file, _ := protocol.FileNames(name, version)
		got[kind+"/"+file] = string(payload) + "|" + string(signatures)
		return nil
	})
	if err != nil || len(got) != 2 || got["agreements/pact.v1.yaml"] != "one|s1\ns2" || got["agreements/pact.v2.yaml"] != "two|" {
		t.Errorf("%v, %v", got, err)
	}
	if err := d.Load(func(string, string, uint64, []byte, []byte) error { return errBroken }); !errors.Is(err, errBroken) {
		t.Errorf("a failing reader: %v", err)
	}
}

func TestWriteFileAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"one", "two, longer", ""} {
		if err := WriteFileAtomic(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := WriteFileAtomic(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no folder: %v", err)
	}
	// A folder in the way: the error is told, nothing is left behind.
	if err := os.MkdirAll(filepath.Join(dir, "taken", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFileAtomic(filepath.Join(dir, "taken"), []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
