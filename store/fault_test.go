package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"entente/protocol"
)

// Every commit is broken once, in both ways: nothing acknowledged may be lost,
// no sequence number or stamp used twice, and the store takes nothing more
// until it is opened again.
func TestBrokenCommits(t *testing.T) {
	for _, done := range []bool{false, true} {
		for broken := range 6 {
			t.Run(fmt.Sprintf("commit %d happened %v", broken, done), func(t *testing.T) {
				cfg := labConfig(t, "")
				if err := cfg.complete(); err != nil {
					t.Fatal(err)
				}
				db := &faulty{backend: newMemory(), left: -1}
				s, err := start(cfg, db)
				if err != nil {
					t.Fatal(err)
				}
				db.set(broken, done)
				a := newAuthor(t, cfg.Codec, "a", "feed")
				ctx := context.Background()
				acked, stamp := protocol.Position{}, int64(0)
				failures := 0
				for i := range 8 {
					e, err := s.Append(ctx, a.log, a.sealer(simple(i)), leaves(t, simple(i)),
						[]protocol.AuditRow{{Kind: protocol.AuditMessage, Action: "publish"}})
					if err != nil {
						failures++
						continue
					}
					acked, stamp = e.Message.Position(), e.Added
				}
				if failures != 8-broken || acked.Sequence != uint64(broken) || s.Position(a.log) != acked {
					t.Fatalf("%d failures, acknowledged %d, position %d", failures, acked.Sequence, s.Position(a.log).Sequence)
				}
				if st := s.Stats(); st.Accepting || st.Problem == "" || st.Messages != uint64(broken) {
					t.Fatalf("a broken store says %+v", st)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				reopened(t, cfg, db.backend, a, acked, stamp)
			})
		}
	}
}

// reopened opens what a fault left behind and goes on.
func reopened(t *testing.T, cfg Config, db backend, a *author, acked protocol.Position, stamp int64) {
	t.Helper()
	s, err := start(cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := s.Position(a.log)
	if at.Sequence < acked.Sequence || at.Sequence > acked.Sequence+1 {
		t.Fatalf("the log ends at %d, acknowledged was %d", at.Sequence, acked.Sequence)
	}
	st := s.Stats()
	if st.Messages != at.Sequence || st.AuditRows != at.Sequence || st.Objects != at.Sequence {
		t.Fatalf("not a whole: log at %d, %+v", at.Sequence, st)
	}
	e, err := s.Append(context.Background(), a.log, a.sealer(simple(99)), leaves(t, simple(99)), nil)
	if err != nil || e.Message.Header().Sequence != at.Sequence+1 || e.Added <= stamp {
		t.Fatalf("append afterwards: %+v, %v", e, err)
	}
	for i := range int(acked.Sequence) {
		if v, err := s.Get(indicatorID(i)); err != nil || len(v) != 1 {
			t.Fatalf("object %d: %d versions, %v", i, len(v), err)
		}
	}
}

// What the database only logs as an error stops writing, and the write under
// way is not acknowledged.
func TestDatabaseLogsAnError(t *testing.T) {
	cfg := labConfig(t, "")
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	db := &tattling{backend: newMemory()}
	s, err := start(cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var text bytes.Buffer
	log := badgerLog{slog.New(slog.NewTextHandler(&text, nil)), s.fail}
	db.during = func() { log.Errorf("Error while curlf sync: %v\n", errBroken) }
	if err := s.SetSetting("a", []byte("b")); err == nil || protocol.HintOf(err) == "" {
		t.Fatalf("an unsynced write was acknowledged: %v", err)
	}
	db.during = func() {}
	if err := s.SetSetting("a", []byte("b")); err == nil || s.Stats().Accepting || s.Accepting() {
		t.Fatalf("writing goes on: %v, %+v", err, s.Stats())
	}
	if !strings.Contains(text.String(), "curlf") || !strings.Contains(s.Stats().Problem, "curlf") {
		t.Errorf("log %q, problem %q", text.String(), s.Stats().Problem)
	}
}

type tattling struct {
	backend
	during func()
}

func (b *tattling) commit(changes []change) error {
	if b.during != nil {
		b.during()
	}
	return b.backend.commit(changes)
}

// Any flipped bit in what is stored is an error that says so, or changes
// nothing; never another answer, and no panic.
func TestFlippedBits(t *testing.T) {
	cfg := labConfig(t, "")
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	a := newAuthor(t, cfg.Codec, "a", "feed")
	m := a.next(simple(1), simple(2))
	arrived := arrival(t, m)
	db := newMemory()
	s, err := start(cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Put(context.Background(), m, arrived.Leaves, []protocol.AuditRow{{Kind: protocol.AuditMessage, Action: "receive", Peer: "p"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetSetting("name", []byte("value")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := *db.entries.Load()
	errs := 0
	for i, e := range whole {
		step := max(1, len(e.value)/40)
		for at := 0; at < len(e.value); at += step {
			broken := append([]change(nil), whole...)
			value := bytes.Clone(e.value)
			value[at] ^= 1 << (at % 8)
			broken[i].value = value
			other := newMemory()
			other.entries.Store(&broken)
			errs += readAll(t, cfg, other, m, e.key)
		}
	}
	if errs < 50 {
		t.Errorf("only %d flipped bits were noticed", errs)
	}
}

// readAll opens the store and reads everything; an answer must be right.
func readAll(t *testing.T, cfg Config, db backend, m *protocol.Message, key []byte) (noticed int) {
	t.Helper()
	s, err := start(cfg, db)
	if err != nil {
		if k := protocol.KindOf(err); k != protocol.Conflict {
			t.Errorf("key %q: opening: %v (%v)", key, err, k)
		}
		return 1
	}
	defer s.Close()
	for n := 1; n <= 2; n++ {
		v, err := s.Get(indicatorID(n))
		if err != nil {
			noticed++
		} else if len(v) != 1 || !bytes.Equal(v[0].Raw, simple(n)) {
			t.Errorf("key %q: object %d has %d versions", key, n, len(v))
		}
	}
	frames := 0
	err = s.Range(m.Header().Log(), 0, 9, func(_ uint64, frame []byte) bool {
		frames++
		if !bytes.Equal(frame, m.Frame()) {
			t.Errorf("key %q: another frame", key)
		}
		return true
	})
	if err != nil {
		noticed++
	} else if frames != 1 {
		t.Errorf("key %q: %d messages", key, frames)
	}
	err = s.AuditRows(AuditQuery{}, func(r protocol.AuditRow) bool {
		if r.Peer != "p" || r.Number != 1 {
			t.Errorf("key %q: another row: %+v", key, r)
		}
		return true
	})
	if err != nil {
		noticed++
	}
	if v, err := s.Setting("name"); err != nil {
		noticed++
	} else if string(v) != "value" {
		t.Errorf("key %q: setting %q", key, v)
	}
	return noticed
}

func TestSecondProcess(t *testing.T) {
	cfg := labConfig(t, t.TempDir())
	s := openLab(t, cfg)
	_, err := Open(cfg)
	if protocol.KindOf(err) != protocol.Conflict || protocol.HintOf(err) == "" ||
		!strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Fatalf("a second open: %v; hint %q", err, protocol.HintOf(err))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openLab(t, cfg)
}

// A database put back from an old copy is noticed by the high-water file beside
// it, and its own log refuses to go on.
func TestOldCopy(t *testing.T) {
	cfg := labConfig(t, t.TempDir())
	ctx := context.Background()
	a, b := newAuthor(t, cfg.Codec, "a", "feed"), newAuthor(t, cfg.Codec, "b", "feed")
	add := func(s *Store, n int) {
		t.Helper()
		if _, err := s.Append(ctx, a.log, a.sealer(simple(n)), leaves(t, simple(n)), nil); err != nil {
			t.Fatal(err)
		}
	}
	s := openLab(t, cfg)
	add(s, 1)
	put(t, s, b.next(simple(7)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(cfg.Dir, "db"))); err != nil {
		t.Fatal(err)
	}
	s = openLab(t, cfg)
	two := s.Position(a.log)
	add(s, 2)
	add(s, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "db")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, filepath.Join(cfg.Dir, "db")); err != nil {
		t.Fatal(err)
	}
	s = openLab(t, cfg)
	if !s.Behind(a.log) || s.Behind(b.log) {
		t.Fatalf("own log behind: %v, other's: %v", s.Behind(a.log), s.Behind(b.log))
	}
	if _, err := s.Append(ctx, a.log, a.sealer(simple(4)), leaves(t, simple(4)), nil); protocol.KindOf(err) != protocol.Conflict || protocol.HintOf(err) == "" {
		t.Fatalf("an old copy goes on: %v", err)
	}
	// Its own messages come back from peers; then it goes on.
	a.at = two
	put(t, s, a.next(simple(2)))
	put(t, s, a.next(simple(3)))
	if s.Behind(a.log) {
		t.Fatal("behind although all is back")
	}
	add(s, 4)
}
