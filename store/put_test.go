package store

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"entente/protocol"
)

func TestPutOutcomes(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		one, two, three := a.next(simple(1), simple(2)), a.next(simple(3)), a.next(simple(4))
		other := a.seal(one.Position(), simple(5)) // another message 2
		for i, step := range []struct {
			m    *protocol.Message
			want Outcome
		}{
			{two, Gap}, {one, Stored}, {one, Duplicate}, {three, Gap}, {two, Stored}, {two, Duplicate}, {one, Duplicate},
			{other, Fork}, {other, Stopped}, {three, Stopped},
		} {
			if got, _ := put(t, s, step.m); got != step.want {
				t.Fatalf("step %d: %v, want %v", i, got, step.want)
			}
		}
		if p := s.Position(a.log); p != two.Position() || !s.Forked(a.log) {
			t.Fatalf("position %+v, forked %v", p, s.Forked(a.log))
		}
		if _, err := s.Append(context.Background(), a.log, a.sealer(simple(6)), leaves(t, simple(6)), nil); protocol.KindOf(err) != protocol.Conflict {
			t.Fatalf("append to a forked log: %v", err)
		}
	})
}

// A fork must be seen also when what it contradicts is in the same group, and
// not on disk yet.
func TestForksInOneGroup(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		for _, where := range []string{"earlier", "last", "previous"} {
			s := openLab(t, func() Config { c := cfg; c.Dir = sub(t, cfg.Dir); return c }())
			a := newAuthor(t, cfg.Codec, where, "feed")
			one := a.next(simple(1))
			two := a.next(simple(2))
			in := []Arrival{arrival(t, one), arrival(t, two)}
			switch where {
			case "earlier":
				in = append(in, arrival(t, a.seal(protocol.Position{}, simple(9))))
			case "last":
				in = append(in, arrival(t, a.seal(one.Position(), simple(9))))
			case "previous":
				false2 := a.seal(one.Position(), simple(9))
				in = append(in, arrival(t, a.seal(false2.Position(), simple(3))))
			}
			got := s.PutAll(context.Background(), in)
			for i, want := range []Outcome{Stored, Stored, Fork} {
				if got[i].Err != nil || got[i].Outcome != want {
					t.Errorf("%s, message %d: %v, %v", where, i, got[i].Outcome, got[i].Err)
				}
			}
			proofs := 0
			if err := s.db.scan([]byte{kindFork}, nil, false, func(_, _ []byte) bool { proofs++; return true }); err != nil || proofs != 2 {
				t.Errorf("%s: %d headers are kept as proof, %v", where, proofs, err)
			}
		}
	})
}

func sub(t *testing.T, dir string) string {
	if dir == "" {
		return ""
	}
	return t.TempDir()
}

func TestRestart(t *testing.T) {
	cfg := labConfig(t, t.TempDir())
	c := newClock()
	cfg.Clock = c.read
	a, b := newAuthor(t, cfg.Codec, "a", "feed"), newAuthor(t, cfg.Codec, "b", "feed")
	s := openLab(t, cfg)
	first, _ := s.Append(context.Background(), a.log, a.sealer(simple(1), simple(2)), leaves(t, simple(1), simple(2)),
		[]protocol.AuditRow{{Kind: protocol.AuditMessage, Action: "publish", Outcome: "ok"}})
	put(t, s, b.next(simple(3)))
	if err := s.SetSetting("name", []byte("value")); err != nil {
		t.Fatal(err)
	}
	was, logs := s.Stats(), s.Logs(a.log.Agreement)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.move(-time.Hour) // the clock was put back
	s = openLab(t, cfg)
	if now := s.Stats(); now.Messages != was.Messages || now.Objects != was.Objects || now.LastAdded != was.LastAdded || now.AuditRows != was.AuditRows {
		t.Fatalf("after: %+v, before: %+v", now, was)
	}
	if again := s.Logs(a.log.Agreement); again.Digest() != logs.Digest() || len(again) != 2 {
		t.Fatalf("logs %+v, were %+v", again, logs)
	}
	if v, err := s.Setting("name"); string(v) != "value" || err != nil {
		t.Fatalf("setting %q, %v", v, err)
	}
	second, err := s.Append(context.Background(), a.log, a.sealer(simple(4)), leaves(t, simple(4)), nil)
	if err != nil || second.Message.Header().Sequence != 2 || second.Message.Header().Previous != first.Message.Hash() {
		t.Fatalf("append after restart: %+v, %v", second, err)
	}
	if second.Added <= was.LastAdded {
		t.Fatalf("stamp %d does not rise over %d", second.Added, was.LastAdded)
	}
	for _, n := range []int{1, 2, 3, 4} {
		v, err := s.Get(indicatorID(n))
		if err != nil || len(v) != 1 || !bytes.Equal(v[0].Raw, simple(n)) {
			t.Fatalf("object %d: %v, %v", n, v, err)
		}
		if at, err := s.At(v[0].Added); err != nil || at.ID != v[0].ID || at.Position != v[0].Position {
			t.Fatalf("object %d by its stamp: %+v, %v", n, at, err)
		}
	}
}

// Many writers of many logs: positions chain within groups, stamps are unique
// and leave room for leaves, and nothing is lost.
func TestManyWriters(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		const writers, each = 8, 12
		var mu sync.Mutex
		stamps := make(map[int64]bool)
		var wg sync.WaitGroup
		for w := range writers {
			a := newAuthor(t, cfg.Codec, fmt.Sprint("writer", w%4), "feed")
			wg.Go(func() {
				for i := range each {
					o := [][]byte{simple(w*1000 + i*2), simple(w*1000 + i*2 + 1)}
					e, err := s.Append(context.Background(), a.log, a.sealer(o...), leaves(t, o...), nil)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for i := range int64(2) {
						if stamps[e.Added+i] {
							t.Errorf("stamp %d is there twice", e.Added+i)
						}
						stamps[e.Added+i] = true
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for w := range 4 {
			a := newAuthor(t, cfg.Codec, fmt.Sprint("writer", w), "feed")
			var prev protocol.Hash
			next := uint64(1)
			err := s.Range(a.log, 0, 1000, func(sequence uint64, frame []byte) bool {
				m, err := cfg.Codec.Reopen(frame)
				if err != nil || m.Header().Sequence != next || sequence != next || m.Header().Previous != prev {
					t.Errorf("log %d breaks at %d: %v", w, sequence, err)
				}
				prev = m.Hash()
				next++
				return true
			})
			if err != nil || next != 2*each+1 {
				t.Errorf("log %d has %d messages, %v", w, next-1, err)
			}
		}
	})
}

// The largest messages must fit the smallest transactions, many at a time.
func TestGroupsFitTransactions(t *testing.T) {
	cfg := labConfig(t, t.TempDir())
	s := openLab(t, cfg)
	a := newAuthor(t, cfg.Codec, "a", "feed")
	var in []Arrival
	for i := range 6 {
		in = append(in, arrival(t, a.next(simples(i*4096, (i+1)*4096)...)))
	}
	for i, r := range s.PutAll(context.Background(), in) {
		if r.Err != nil || r.Outcome != Stored {
			t.Fatalf("message %d: %v, %v", i, r.Outcome, r.Err)
		}
	}
	// So must those of which nothing is taken: what refused each object is found
	// by its name.
	m := a.next(simples(0, 4096)...)
	none := arrival(t, m)
	for i := range none.Leaves {
		none.Leaves[i].Allowed = false
	}
	row := protocol.AuditRow{Kind: protocol.AuditDecision, Outcome: "refuse", Log: &a.log, Sequence: m.Header().Sequence}
	if outcome, _, err := s.Put(context.Background(), m, none.Leaves, []protocol.AuditRow{row}); err != nil || outcome != Stored {
		t.Fatalf("a message that is refused as a whole: %v, %v", outcome, err)
	}
	// Rows that name more objects than a transaction takes are refused alone.
	ids := make([]string, 60000)
	for i := range ids {
		ids[i] = indicatorID(i)
	}
	err := s.Audit(context.Background(), protocol.AuditRow{Kind: protocol.AuditDecision, Objects: ids})
	if protocol.KindOf(err) != protocol.Limit || protocol.HintOf(err) == "" {
		t.Fatalf("a row with %d objects: %v", len(ids), err)
	}
	if st := s.Stats(); !st.Accepting || st.AuditRows != 1 {
		t.Fatalf("after a refused row: %+v", st)
	}
}

func TestAppendRefusesWhatIsNotNext(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		a, b := newAuthor(t, cfg.Codec, "a", "feed"), newAuthor(t, cfg.Codec, "b", "feed")
		m := a.next(simple(1))
		ctx := context.Background()
		for name, seal := range map[string]SealFunc{
			"another log": b.sealer(simple(1)),
			"a number ahead": func(protocol.Position) (*protocol.Message, error) {
				return a.seal(m.Position(), simple(2)), nil
			},
			"an error": func(protocol.Position) (*protocol.Message, error) { return nil, errBroken },
		} {
			if _, err := s.Append(ctx, a.log, seal, leaves(t, simple(1)), nil); err == nil {
				t.Errorf("%s was appended", name)
			}
		}
		bad := []Leaf{{Position: 7, ID: indicatorID(1), Allowed: false}}
		if _, err := s.Append(ctx, a.log, a.sealer(simple(1)), bad, nil); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("a leaf that is not there: %v", err)
		}
		if st := s.Stats(); st.Messages != 0 || s.Position(a.log).Sequence != 0 {
			t.Errorf("something was written: %+v", st)
		}
		if _, err := s.Append(ctx, a.log, a.sealer(simple(1)), leaves(t, simple(1)), nil); err != nil {
			t.Error(err)
		}
	})
}

// Close while others write: each write is there or was refused.
func TestCloseWhileWriting(t *testing.T) {
	cfg := labConfig(t, t.TempDir())
	s := openLab(t, cfg)
	var wg sync.WaitGroup
	last := make([]uint64, 4)
	started := make(chan struct{}, 4)
	for w := range last {
		a := newAuthor(t, cfg.Codec, fmt.Sprint("w", w), "feed")
		o := simple(w)
		l := leaves(t, o)
		wg.Go(func() {
			for i := 0; ; i++ {
				e, err := s.Append(context.Background(), a.log, a.sealer(o), l, nil)
				if err != nil {
					return
				}
				last[w] = e.Message.Header().Sequence
				if i == 0 {
					started <- struct{}{}
				}
			}
		})
	}
	for range last {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	s = openLab(t, cfg)
	for w := range last {
		a := newAuthor(t, cfg.Codec, fmt.Sprint("w", w), "feed")
		if got := s.Position(a.log).Sequence; got != last[w] {
			t.Errorf("log %d ends at %d, acknowledged was %d", w, got, last[w])
		}
	}
}
