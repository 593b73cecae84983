package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// refusedLab is a store with one message of four objects, of which the second is
// refused for good and the last two are decided about again.
func refusedLab(t *testing.T, cfg Config) (*Store, Arrival, Entry) {
	t.Helper()
	s := openLab(t, cfg)
	running(t, s)
	a := arrival(t, newAuthor(t, cfg.Codec, "bank", "indicators").next(simples(0, 4)...))
	for i := 1; i < 4; i++ {
		a.Leaves[i].Allowed, a.Leaves[i].Doubtful = false, i > 1
	}
	outcome, entry, err := s.Put(context.Background(), a.Message, a.Leaves, nil)
	if err != nil || outcome != Stored {
		t.Fatal(outcome, err)
	}
	settled(t, s)
	return s, a, entry
}

// shows checks which of the four objects readers find, by every way.
func shows(t *testing.T, s *Store, want ...int) {
	t.Helper()
	var scanned, got, looked []int
	err := s.Scan(Query{}, func(v Version) bool { scanned = append(scanned, v.Position); return true })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		versions, err := s.Get(indicatorID(i))
		if err != nil {
			t.Fatal(err)
		}
		if len(versions) == 1 {
			got = append(got, i)
		}
		o, err := stix.Parse(simple(i), stix.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		hits, err := s.Lookup(o.Keys())
		if err != nil {
			t.Fatal(err)
		}
		if len(hits[0]) == 1 {
			looked = append(looked, i)
		}
	}
	for way, found := range map[string][]int{"Scan": scanned, "Get": got, "Lookup": looked} {
		if !slices.Equal(found, want) {
			t.Errorf("%s finds %v, want %v", way, found, want)
		}
	}
	if n := s.Stats().Objects; n != uint64(len(want)) {
		t.Errorf("%d objects are counted, want %d", n, len(want))
	}
}

func doubtful(t *testing.T, s *Store) (out []int) {
	t.Helper()
	err := s.Doubtful(0, func(_ Entry, positions []int) bool { out = append(out, positions...); return true })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func admitted(t *testing.T, s *Store, after int64) (positions []int, last int64) {
	t.Helper()
	err := s.Admitted(Query{After: after, Topic: "indicators"}, func(v Version, stamp int64) bool {
		positions, last = append(positions, v.Position), stamp
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return positions, last
}

func TestAdmit(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s, a, entry := refusedLab(t, cfg)
		ctx := context.Background()
		shows(t, s, 0)
		if got := doubtful(t, s); !slices.Equal(got, []int{2, 3}) {
			t.Fatalf("doubtful: %v", got)
		}
		before := s.Stats()

		// One of them is let in, the other stays in doubt.
		leaf := a.Leaves[3]
		leaf.Allowed, leaf.Doubtful = true, false
		row := protocol.AuditRow{Time: time.Unix(1, 0), Kind: protocol.AuditDecision, Action: "admit", Outcome: "allow", Count: 1, Positions: []int{3}}
		if err := s.Admit(ctx, entry.Added, []Leaf{a.Leaves[2], leaf}, row); err != nil {
			t.Fatal(err)
		}
		shows(t, s, 0, 3)
		if got := doubtful(t, s); !slices.Equal(got, []int{2}) {
			t.Errorf("doubtful: %v", got)
		}
		if got, stamp := admitted(t, s, 0); !slices.Equal(got, []int{3}) || stamp <= before.LastAdded {
			t.Errorf("admitted: %v at %d, after %d", got, stamp, before.LastAdded)
		}
		if got, _ := admitted(t, s, s.Stats().LastAdded); got != nil {
			t.Errorf("admitted after the last: %v", got)
		}
		if got := s.Stats().AuditRows; got != before.AuditRows+1 {
			t.Errorf("%d audit rows, want one more than %d", got, before.AuditRows)
		}
		if v, err := s.Get(indicatorID(3)); err != nil || v[0].Added != entry.Added+3 {
			t.Errorf("it has the stamp %d, not that of its arrival: %v", v[0].Added, err)
		}
		settled(t, s) // the value index gets past a stamp that is of no message

		// The last is refused for good, and one that is in already stays as it is.
		no := a.Leaves[2]
		no.Doubtful = false
		if err := s.Admit(ctx, entry.Added, []Leaf{no, leaf}); err != nil {
			t.Fatal(err)
		}
		shows(t, s, 0, 3)
		if got := doubtful(t, s); got != nil {
			t.Errorf("doubtful: %v", got)
		}

		if err := s.Reindex(ctx, nil); err != nil {
			t.Fatal(err)
		}
		shows(t, s, 0, 3)
	})
}

// What was let in is on disk, and so is what is in doubt.
func TestAdmitAndOpenAgain(t *testing.T) {
	cfg := labConfig(t, t.TempDir())
	t.Run("write", func(t *testing.T) {
		s, a, entry := refusedLab(t, cfg)
		leaf := a.Leaves[2]
		leaf.Allowed, leaf.Doubtful = true, false
		if err := s.Admit(context.Background(), entry.Added, []Leaf{leaf, a.Leaves[3]}); err != nil {
			t.Fatal(err)
		}
	})
	s := openLab(t, cfg)
	shows(t, s, 0, 2)
	if got := doubtful(t, s); !slices.Equal(got, []int{3}) {
		t.Errorf("doubtful: %v", got)
	}
	if got, _ := admitted(t, s, 0); !slices.Equal(got, []int{2}) {
		t.Errorf("admitted: %v", got)
	}
}

// An object that was erased while it was in doubt cannot come back, and one that
// is erased after it was let in leaves nothing behind.
func TestAdmitAndErase(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s, a, entry := refusedLab(t, cfg)
		ctx := context.Background()
		log := a.Message.Header().Log()
		for i := 2; i < 4; i++ {
			a.Leaves[i].Allowed, a.Leaves[i].Doubtful = true, false
		}
		if err := s.Admit(ctx, entry.Added, []Leaf{a.Leaves[3], {Position: 2, Doubtful: true}}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Erase(ctx, []Erasure{{Log: log, Sequence: 1, Positions: []int{2, 3}}}); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		shows(t, s, 0)
		if err := s.Admit(ctx, entry.Added, []Leaf{a.Leaves[2]}); err != nil {
			t.Fatal(err)
		}
		shows(t, s, 0)
		if got := doubtful(t, s); got != nil {
			t.Errorf("doubtful: %v", got)
		}
		if got, _ := admitted(t, s, 0); got != nil {
			t.Errorf("admitted: %v", got)
		}
		if err := s.Admit(ctx, entry.Added, []Leaf{{Position: 4, Allowed: true}}); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("a fifth object of four: %v", err)
		}
	})
}
