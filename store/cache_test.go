package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// However much is read, and in what order, the messages kept unpacked stay
// within their budget, the books are right, and answers are the same as without.
func TestCacheStaysWithinBudget(t *testing.T) {
	cfg := labConfig(t, "")
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	cfg.Memory = 6 * 40_000 // of which a sixth is the cache's: some three messages
	s, err := start(cfg, newMemory())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := newAuthor(t, cfg.Codec, "a", "feed")
	for n := 0; n < 600; n += 30 {
		put(t, s, a.next(simples(n, n+30)...))
	}
	r := rand.New(rand.NewPCG(3, 4))
	most := 0
	for range 2000 {
		n := r.IntN(600)
		v, err := s.Get(indicatorID(n))
		if err != nil || len(v) != 1 || !bytes.Equal(v[0].Raw, simple(n)) {
			t.Fatalf("object %d: %d versions, %v", n, len(v), err)
		}
		if at, err := s.At(v[0].Added); err != nil || at.ID != v[0].ID {
			t.Fatalf("object %d by its stamp: %s, %v", n, at.ID, err)
		}
		c := s.cache
		var used int64
		var starts []int64
		for added, e := range c.byAdd {
			used += cost(e.Value.(*loaded))
			starts = append(starts, added)
		}
		slices.Sort(starts)
		if used != c.used || used > c.budget || !slices.Equal(starts, c.starts) || c.order.Len() != len(starts) {
			t.Fatalf("%d bytes in %d messages, %d on the books, budget %d", used, len(starts), c.used, c.budget)
		}
		most = max(most, len(starts))
	}
	if most < 2 || most > 10 {
		t.Errorf("%d messages were kept at most: the test does not test what it should", most)
	}
	if _, err := s.At(1); err == nil {
		t.Error("something was added before everything")
	}
}

// Stamps are unique and rise, leaf by leaf, whatever the clock does; so paging
// by them neither repeats nor leaves out.
func TestStampsRise(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		c := newClock()
		cfg.Clock = c.read
		s := openLab(t, cfg)
		a, b := newAuthor(t, cfg.Codec, "a", "feed"), newAuthor(t, cfg.Codec, "b", "talk")
		var want []string
		for i, step := range []time.Duration{0, 0, time.Microsecond, -time.Hour, time.Second, -time.Nanosecond, 2 * time.Hour, -24 * time.Hour, 0, time.Minute} {
			c.move(step)
			author := a
			if i%3 == 0 {
				author = b
			}
			put(t, s, author.next(simples(10*i, 10*i+i+1)...))
			for n := 10 * i; n < 10*i+i+1; n++ {
				want = append(want, indicatorID(n))
			}
			if cfg.Dir != "" && i%4 == 3 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openLab(t, cfg)
			}
		}
		for _, page := range []int{1, 7, 1000} {
			var got []string
			var after int64
			for more := true; more; {
				more = false
				count := 0
				err := s.Scan(Query{After: after}, func(v Version) bool {
					if v.Added <= after {
						t.Errorf("stamp %d after %d", v.Added, after)
					}
					got, after = append(got, v.ID), v.Added
					count++
					more = count == page
					return !more
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d: %s", page, fmt.Sprint(len(got), " of ", len(want), " objects, or in another order"))
			}
		}
		var back []string
		if err := s.Scan(Query{Reverse: true}, func(v Version) bool { back = append(back, v.ID); return true }); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(back)
		if !slices.Equal(back, want) {
			t.Errorf("in reverse: %d of %d", len(back), len(want))
		}
	})
}
