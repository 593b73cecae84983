package store

import (
	"reflect"
	"sync"
	"testing"

	"entente/protocol"
)

// TestSweepIsScan: what parcels hold, opened in order, is what a scan yields.
func TestSweepIsScan(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		a, b := newAuthor(t, cfg.Codec, "a", "feed"), newAuthor(t, cfg.Codec, "b", "other")
		var stamps []int64
		for i := range 4 {
			for _, w := range []*author{a, b} {
				_, e := put(t, s, w.next(simples(i*10, i*10+5)...))
				stamps = append(stamps, e.Added)
			}
		}
		for name, q := range map[string]Query{
			"all": {}, "after a leaf": {After: stamps[2] + 2}, "before": {Before: stamps[5]}, "between": {After: stamps[1] + 3, Before: stamps[4] + 1},
			"topic": {Agreement: a.log.Agreement, Topic: "feed"}, "elsewhere": {Agreement: protocol.AgreementID{9}}, "type": {Types: []string{"note"}},
		} {
			var want, got []int64
			if err := s.Scan(q, func(v Version) bool { want = append(want, v.Added); return true }); err != nil {
				t.Fatal(err)
			}
			err := s.Sweep(q, func(p Parcel) bool {
				if err := p.Versions(func(v Version) bool { got = append(got, v.Added); return true }); err != nil {
					t.Error(err)
				}
				return true
			})
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v, not %v (%v)", name, got, want, err)
			}
			if name == "all" && len(want) != 40 {
				t.Errorf("%d objects, not 40", len(want))
			}
		}
		if err := s.Sweep(Query{Reverse: true}, func(Parcel) bool { return true }); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("in reverse: %v", err)
		}
	})
}

// TestSweepEnds: a sweep stops when it is told, and its parcels may be opened by
// many at once, and later.
func TestSweepEnds(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		for i := range 6 {
			put(t, s, a.next(simples(i*10, i*10+5)...))
		}
		var parcels []Parcel
		if err := s.Sweep(Query{}, func(p Parcel) bool { parcels = append(parcels, p); return len(parcels) < 4 }); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		counts := make([]int, len(parcels))
		for i, p := range parcels {
			wg.Go(func() {
				if err := p.Versions(func(Version) bool { counts[i]++; return counts[i] < 3 }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if !reflect.DeepEqual(counts, []int{3, 3, 3, 3}) {
			t.Errorf("%v objects were read", counts)
		}
	})
}
