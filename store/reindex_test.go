package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// indexes returns the keys of all derived entries.
func indexes(t testing.TB, s *Store) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, kind := range []byte{kindObject, kindTopic, kindValue} {
		if err := s.db.scan([]byte{kind}, nil, false, func(k, _ []byte) bool { out[string(k)] = true; return true }); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Reindex while others write: when it has ended, everything is found that was
// before, and everything that came meanwhile.
func TestReindexWhileWriting(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		running(t, s)
		ctx := context.Background()
		a := newAuthor(t, cfg.Codec, "a", "feed")
		const before = 400
		for n := 0; n < before; n += 50 {
			put(t, s, a.next(simples(n, n+50)...))
		}
		settled(t, s)
		whole := indexes(t, s)
		stop := make(chan struct{})
		started := make(chan struct{})
		var wg sync.WaitGroup
		written := before
		wg.Go(func() {
			b := newAuthor(t, cfg.Codec, "b", "talk")
			for i := 0; ; i++ {
				if i == 3 {
					close(started)
				}
				select {
				case <-stop:
					return
				default:
				}
				m := b.next(simple(written))
				in := arrival(t, m)
				if outcome, _, err := s.Put(ctx, m, in.Leaves, nil); err != nil || outcome != Stored {
					t.Errorf("put: %v, %v", outcome, err)
					return
				}
				written++
			}
		})
		<-started
		var last uint64
		for range 3 {
			if err := s.Reindex(ctx, func(done, total uint64) {
				if last = done; done > total {
					t.Errorf("%d of %d messages", done, total)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		wg.Wait()
		settled(t, s)
		if last < before/50 {
			t.Errorf("progress ended at %d messages", last)
		}
		got := indexes(t, s)
		for k := range whole {
			if !got[k] {
				t.Errorf("an entry of kind %c is gone", k[0])
			}
		}
		if want := 2*written + before/50 + written - before; len(got) != want {
			t.Errorf("%d entries, want %d", len(got), want)
		}
		for _, n := range []int{0, before - 1, before, written - 1} {
			if v, err := s.Get(indicatorID(n)); err != nil || len(v) != 1 {
				t.Errorf("object %d: %d versions, %v", n, len(v), err)
			}
			if hits := found(t, s, fmt.Sprintf("10.0.%d.%d", n>>8, n&255)); len(hits) != 1 {
				t.Errorf("value of object %d: %v", n, hits)
			}
		}
	})
}

// A Reindex that is broken at any of its commits is begun again by Run after
// the store was opened, and comes to the same indexes.
func TestReindexBroken(t *testing.T) {
	cfg := labConfig(t, "")
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	a := newAuthor(t, cfg.Codec, "a", "feed")
	whole := newMemory()
	s, err := start(cfg, whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 100; n += 20 {
		put(t, s, a.next(simples(n, n+20)...))
	}
	run(t, s, func() { settled(t, s) })
	want := indexes(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	broken := 0
	for ; ; broken++ {
		db := newMemory()
		db.entries.Store(whole.entries.Load())
		f := &faulty{backend: db, left: broken, done: broken%2 == 1}
		s, err := start(cfg, f)
		if err != nil {
			t.Fatal(err)
		}
		failed := s.Reindex(context.Background(), nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if failed == nil {
			break
		}
		if s, err = start(cfg, db); err != nil {
			t.Fatal(err)
		}
		run(t, s, func() {
			settled(t, s)
			wait(t, s, func() bool {
				mark, err := db.get(reindexing())
				return err == nil && mark == nil
			})
		})
		if got := indexes(t, s); !maps.Equal(got, want) {
			t.Errorf("broken at commit %d: %d entries, want %d", broken, len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if broken < 7 {
		t.Errorf("Reindex has %d commits only", broken)
	}
}

// run runs the indexer while f does.
func run(t testing.TB, s *Store, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// wait waits from commit to commit until ask says yes.
func wait(t testing.TB, s *Store, ask func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		watch := s.Watch()
		if ask() {
			return
		}
		select {
		case <-watch:
		case <-ctx.Done():
			t.Fatal("it does not happen")
		}
	}
}

// A store whose process ends at any commit of the value index finds afterwards
// what it had found, and the rest.
func TestIndexBroken(t *testing.T) {
	cfg := labConfig(t, "")
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	for broken := range 3 {
		for _, done := range []bool{false, true} {
			db := newMemory()
			f := &faulty{backend: db, left: -1}
			s, err := start(cfg, f)
			if err != nil {
				t.Fatal(err)
			}
			a := newAuthor(t, cfg.Codec, "a", "feed")
			for n := 0; n < 60; n += 20 {
				put(t, s, a.next(simples(n, n+20)...))
			}
			f.set(broken, done)
			failed := s.reindexValues(context.Background()) // as Run does, without waiting for better times
			// The entries fit one commit; the cursor goes with the next.
			if (failed != nil) != (broken < 2) {
				t.Errorf("broken at commit %d, happened %v: %v", broken, done, failed)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = start(cfg, db); err != nil {
				t.Fatal(err)
			}
			run(t, s, func() { settled(t, s) })
			for n := range 60 {
				if hits := found(t, s, fmt.Sprint("10.0.0.", n)); !slices.Equal(hits, []string{indicatorID(n)}) {
					t.Errorf("broken at commit %d, happened %v: value %d: %v", broken, done, n, hits)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
