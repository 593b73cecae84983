package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// model is what a store should hold, kept as simply as can be, beside a store
// that is written to, closed, copied as a crash would leave it, and opened.
type model struct {
	t     *testing.T
	cfg   Config
	clock *clock
	store *Store
	db    *memory // of a store in memory: what its "disk" is
	base  string
	count int // of folders made

	logs     [3]*author
	messages [3][]*protocol.Message // written so far by each author, in order
	held     [3]int                 // how many of them the store has
	stopped  [3]bool
	versions []heldVersion
	rows     int
	last     int64 // stamp
}

type heldVersion struct {
	n, minute int
	raw       []byte
	added     int64
	log       protocol.LogID
}

func (m *model) open(r *rapid.T) {
	var err error
	if m.db != nil {
		m.store, err = start(m.cfg, m.db)
	} else {
		m.store, err = Open(m.cfg)
	}
	if err != nil {
		r.Fatal(err)
	}
}

// Write makes the next messages of one log and gives them to the store, in
// order or not, some of them twice.
func (m *model) Write(r *rapid.T) {
	w := rapid.IntRange(0, 2).Draw(r, "log")
	for range rapid.IntRange(0, 3).Draw(r, "new") {
		var objects [][]byte
		for range rapid.IntRange(1, 4).Draw(r, "objects") {
			n := rapid.IntRange(0, 12).Draw(r, "object")
			objects = append(objects, indicator(n, rapid.IntRange(1, 5).Draw(r, "version"), fmt.Sprintf("[ipv4-addr:value = '10.0.0.%d']", n)))
		}
		m.messages[w] = append(m.messages[w], m.logs[w].next(objects...))
	}
	if len(m.messages[w]) == 0 {
		return
	}
	var in []Arrival
	var want []Outcome
	for range rapid.IntRange(1, 4).Draw(r, "puts") {
		i := rapid.IntRange(0, len(m.messages[w])-1).Draw(r, "which")
		if rapid.Bool().Draw(r, "next") {
			i = min(m.held[w], len(m.messages[w])-1)
		}
		a := arrival(m.t, m.messages[w][i])
		refused := rapid.IntRange(-4, len(a.Leaves)-1).Draw(r, "refused")
		if refused >= 0 {
			a.Leaves[refused].Allowed = false
		}
		a.Audit = []protocol.AuditRow{{Kind: protocol.AuditMessage, Log: &m.logs[w].log, Sequence: uint64(i + 1)}}
		in = append(in, a)
		switch {
		case m.stopped[w]:
			want = append(want, Stopped)
		case i < m.held[w]:
			want = append(want, Duplicate)
		case i > m.held[w]:
			want = append(want, Gap)
		default:
			want = append(want, Stored)
			m.held[w]++
		}
	}
	for i, got := range m.store.PutAll(context.Background(), in) {
		if got.Err != nil || got.Outcome != want[i] {
			r.Fatalf("message %d of log %d: %v, %v; want %v", in[i].Message.Header().Sequence, w, got.Outcome, got.Err, want[i])
		}
		if got.Outcome == Stored {
			m.stored(r, in[i], got.Entry.Added)
		}
	}
}

func (m *model) stored(r *rapid.T, a Arrival, added int64) {
	if added <= m.last {
		r.Fatalf("stamp %d after %d", added, m.last)
	}
	m.last = added + int64(a.Message.Header().Objects) - 1
	m.rows += len(a.Audit)
	for i, leaf := range a.Leaves {
		if leaf.Allowed {
			var n int
			if _, err := fmt.Sscanf(leaf.ID[len(leaf.ID)-12:], "%d", &n); err != nil {
				r.Fatal(err)
			}
			m.versions = append(m.versions, heldVersion{n, leaf.Modified.Minute(), a.Message.Object(i), added + int64(i), a.Message.Header().Log()})
		}
	}
}

// Append writes to a log as its own node does.
func (m *model) Append(r *rapid.T) {
	w := rapid.IntRange(0, 2).Draw(r, "log")
	if m.held[w] != len(m.messages[w]) || m.stopped[w] {
		return
	}
	n := rapid.IntRange(0, 12).Draw(r, "object")
	raw := indicator(n, rapid.IntRange(1, 5).Draw(r, "version"), fmt.Sprintf("[ipv4-addr:value = '10.0.0.%d']", n))
	rows := []protocol.AuditRow{{Kind: protocol.AuditMessage, Action: "publish"}}
	e, err := m.store.Append(context.Background(), m.logs[w].log, m.logs[w].sealer(raw), leaves(m.t, raw), rows)
	if err != nil || e.Message.Header().Sequence != uint64(m.held[w]+1) {
		r.Fatalf("append after %d: %v", m.held[w], err)
	}
	m.logs[w].at = e.Message.Position()
	m.messages[w] = append(m.messages[w], e.Message)
	m.held[w]++
	m.stored(r, Arrival{Message: e.Message, Leaves: leaves(m.t, raw), Audit: rows}, e.Added)
}

// Fork signs another message in place of one that is held.
func (m *model) Fork(r *rapid.T) {
	w := rapid.IntRange(0, 2).Draw(r, "log")
	if m.held[w] == 0 || m.stopped[w] || rapid.IntRange(0, 3).Draw(r, "seldom") > 0 {
		return
	}
	var prev protocol.Position
	if i := rapid.IntRange(0, m.held[w]-1).Draw(r, "after"); i > 0 {
		prev = m.messages[w][i-1].Position()
	}
	if outcome, _ := put(m.t, m.store, m.logs[w].seal(prev, indicator(99, 1, "[ipv4-addr:value = '10.0.0.99']"))); outcome != Fork {
		r.Fatalf("a second message %d: %v", prev.Sequence+1, outcome)
	}
	m.stopped[w] = true
}

// Clock moves the clock, also back.
func (m *model) Clock(r *rapid.T) {
	m.clock.move(time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(r, "nanoseconds")))
}

// Reopen ends the store properly and opens it again.
func (m *model) Reopen(r *rapid.T) {
	if err := m.store.Close(); err != nil {
		r.Fatal(err)
	}
	m.open(r)
}

// Crash opens what lies on the disk now, as after a cut of the power, and lets
// the store in use go.
func (m *model) Crash(r *rapid.T) {
	if m.db != nil {
		db := newMemory()
		db.entries.Store(m.db.entries.Load())
		m.db = db
	} else {
		m.count++
		dir := filepath.Join(m.base, fmt.Sprint(m.count))
		if err := copyStill(dir, m.cfg.Dir); err != nil {
			r.Fatal(err)
		}
		m.cfg.Dir = dir
	}
	if err := m.store.Close(); err != nil {
		r.Fatal(err)
	}
	m.open(r)
}

// copyStill copies a folder as it was at one moment: again, where files came or
// went or grew meanwhile, as they do when the database tidies up behind itself.
// A cut of the power shows one moment; a copy in parts could show two.
func copyStill(to, from string) error {
	for {
		before := listing(from)
		err := copySparse(to, from)
		if listing(from) == before {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
}

// copySparse copies a folder but for what is set aside in it. The database's
// files are mostly room for what is to come.
func copySparse(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "ballast" {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(at, bytes.TrimRight(data, "\x00"), 0o600), os.Truncate(at, int64(len(data))))
	})
}

// listing names all files with their sizes.
func listing(dir string) string {
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&out, path, info.Size())
		return nil
	})
	if err != nil {
		fmt.Fprintln(&out, "changed meanwhile:", err)
	}
	return out.String()
}

// Reindex makes the derived indexes anew.
func (m *model) Reindex(r *rapid.T) {
	if err := m.store.Reindex(context.Background(), nil); err != nil {
		r.Fatal(err)
	}
}

// Lookup lets the value index catch up and asks for one value.
func (m *model) Lookup(r *rapid.T) {
	run(m.t, m.store, func() { settled(m.t, m.store) })
	n := rapid.IntRange(0, 12).Draw(r, "value")
	var want []string
	for _, v := range m.versions {
		if v.n == n {
			want = []string{indicatorID(n)}
		}
	}
	if got := found(m.t, m.store, fmt.Sprint("10.0.0.", n)); !slices.Equal(got, want) {
		r.Fatalf("value %d: %v, want %v", n, got, want)
	}
}

// Check is called after every step.
func (m *model) Check(r *rapid.T) {
	for w, a := range m.logs {
		var want protocol.Position
		if m.held[w] > 0 {
			want = m.messages[w][m.held[w]-1].Position()
		}
		if got := m.store.Position(a.log); got != want || m.store.Forked(a.log) != m.stopped[w] {
			r.Fatalf("log %d: at %d, forked %v; want %d, %v", w, got.Sequence, m.store.Forked(a.log), want.Sequence, m.stopped[w])
		}
		at := 0
		err := m.store.Range(a.log, 0, 1<<40, func(sequence uint64, frame []byte) bool {
			if at++; sequence != uint64(at) || !bytes.Equal(frame, m.messages[w][at-1].Frame()) {
				r.Fatalf("log %d gives another message at %d", w, at)
			}
			return true
		})
		if err != nil || at != m.held[w] {
			r.Fatalf("log %d gives %d messages, want %d: %v", w, at, m.held[w], err)
		}
	}
	st := m.store.Stats()
	if st.Objects != uint64(len(m.versions)) || st.AuditRows != uint64(m.rows) || st.LastAdded != m.last || !st.Accepting {
		r.Fatalf("%+v; want %d objects, %d rows, last stamp %d", st, len(m.versions), m.rows, m.last)
	}
	at := 0
	err := m.store.Scan(Query{}, func(v Version) bool {
		w := m.versions[at]
		if at++; v.Added != w.added || !bytes.Equal(v.Raw, w.raw) || v.Log != w.log {
			r.Fatalf("a scan gives %s at %d, want %s at %d", v.ID, v.Added, indicatorID(w.n), w.added)
		}
		return true
	})
	if err != nil || at != len(m.versions) {
		r.Fatalf("a scan gives %d versions, want %d: %v", at, len(m.versions), err)
	}
	n := rapid.IntRange(0, 12).Draw(r, "object")
	var want []heldVersion
	for _, v := range m.versions {
		if v.n == n {
			want = append(want, v)
		}
	}
	slices.SortFunc(want, func(a, b heldVersion) int { return int(b.added-a.added) + (b.minute-a.minute)<<40 })
	got, err := m.store.Get(indicatorID(n))
	if err != nil || len(got) != len(want) {
		r.Fatalf("object %d: %d versions, want %d: %v", n, len(got), len(want), err)
	}
	for i, v := range got {
		if v.Added != want[i].added || !bytes.Equal(v.Raw, want[i].raw) {
			r.Fatalf("object %d, version %d: added %d, want %d", n, i, v.Added, want[i].added)
		}
	}
}

// TestModel plays random histories on both backends.
func TestModel(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		disk := cfg.Dir != ""
		codec := cfg.Codec
		rapid.Check(t, func(r *rapid.T) {
			if disk && rapid.IntRange(0, 2).Draw(r, "of three") > 0 {
				return // files take fifty times as long as memory
			}
			m := &model{t: t, cfg: cfg, clock: newClock()}
			m.cfg.Clock = m.clock.read
			if err := m.cfg.complete(); err != nil {
				t.Fatal(err)
			}
			if disk {
				m.base = t.TempDir()
				m.cfg.Dir = filepath.Join(m.base, "0")
			} else {
				m.db = newMemory()
			}
			for w := range m.logs {
				m.logs[w] = newAuthor(t, codec, fmt.Sprint("author ", w), []string{"feed", "feed", "talk"}[w])
			}
			m.open(r)
			defer func() {
				if err := m.store.Close(); err != nil {
					t.Error(err)
				}
			}()
			m.Check(r)
			for range rapid.IntRange(1, map[bool]int{true: 5, false: 30}[disk]).Draw(r, "steps") {
				steps := []func(*rapid.T){m.Write, m.Write, m.Write, m.Append, m.Fork, m.Clock, m.Reopen, m.Crash, m.Reindex, m.Lookup}
				steps[rapid.IntRange(0, len(steps)-1).Draw(r, "step")](r)
				m.Check(r)
			}
		})
	})
}
