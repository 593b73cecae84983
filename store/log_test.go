package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"entente/protocol"
)

func outcomes(t *testing.T, s *Store, in ...*protocol.Message) []Outcome {
	t.Helper()
	arrivals := make([]Arrival, len(in))
	for i, m := range in {
		arrivals[i] = arrival(t, m)
		arrivals[i].Audit = []protocol.AuditRow{{Kind: protocol.AuditMessage, Action: "receive", Outcome: "accept"}}
	}
	var out []Outcome
	for i, r := range s.PutAll(context.Background(), arrivals) {
		if r.Err != nil {
			t.Fatalf("message %d: %v", i, r.Err)
		}
		out = append(out, r.Outcome)
	}
	return out
}

// What comes twice, too early, late or false within one group is seen although
// nothing of the group is on disk yet; and again after opening the store anew.
func TestOutcomesWithinAGroup(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		if cfg.Dir == "" {
			t.Skip("what is in memory does not open again") // TestModel does that
		}
		a, b := newAuthor(t, cfg.Codec, "a", "feed"), newAuthor(t, cfg.Codec, "b", "feed")
		var ma, mb []*protocol.Message
		for i := range 5 {
			ma, mb = append(ma, a.next(simple(i))), append(mb, b.next(simple(100+i)))
		}
		forked := b.seal(mb[1].Position(), simple(999))
		s := openLab(t, cfg)
		got := outcomes(t, s, ma[0], ma[0], ma[2], mb[0], ma[1], ma[2], ma[1], ma[4], mb[1])
		want := []Outcome{Stored, Duplicate, Gap, Stored, Stored, Stored, Duplicate, Gap, Stored}
		if !slices.Equal(got, want) {
			t.Fatalf("first group: %v, want %v", got, want)
		}
		if st := s.Stats(); st.Messages != 5 || st.Objects != 5 || st.AuditRows != 5 {
			t.Fatalf("what was not stored left something: %+v", st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openLab(t, cfg)
		got = outcomes(t, s, ma[2], ma[0], ma[4], ma[3], ma[4], mb[2], forked, mb[3], mb[2], mb[0])
		want = []Outcome{Duplicate, Duplicate, Gap, Stored, Stored, Stored, Fork, Stopped, Stopped, Stopped}
		if !slices.Equal(got, want) {
			t.Fatalf("second group: %v, want %v", got, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openLab(t, cfg)
		if !s.Forked(b.log) || s.Forked(a.log) || s.Position(a.log) != ma[4].Position() || s.Position(b.log) != mb[2].Position() {
			t.Fatalf("after opening: b forked %v, a forked %v, at %d and %d", s.Forked(b.log), s.Forked(a.log),
				s.Position(a.log).Sequence, s.Position(b.log).Sequence)
		}
		if got = outcomes(t, s, mb[3], ma[4]); !slices.Equal(got, []Outcome{Stopped, Duplicate}) {
			t.Fatalf("third group: %v", got)
		}
		proofs := map[protocol.Hash]bool{}
		err := s.db.scan([]byte{kindFork}, nil, false, func(k, sealed []byte) bool {
			if _, err := openValue("a proof", sealed); err != nil {
				t.Error(err)
			}
			proofs[protocol.Hash(k[len(k)-32:])] = true
			return true
		})
		if err != nil || len(proofs) != 2 || !proofs[forked.Hash()] || !proofs[mb[2].Hash()] {
			t.Fatalf("%d proofs of the fork, %v", len(proofs), err)
		}
	})
}

// A message refused by policy here is held, in the log and for others, but in
// no answer; and so after an index is made anew.
func TestRefusedLeaves(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		running(t, s)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		m := a.next(simples(0, 20)...)
		in := arrival(t, m)
		for i := range in.Leaves {
			in.Leaves[i].Allowed = i%3 != 0
		}
		if outcome, _, err := s.Put(context.Background(), m, in.Leaves, nil); err != nil || outcome != Stored {
			t.Fatal(outcome, err)
		}
		check := func(when string) {
			t.Helper()
			settled(t, s)
			for i := range 20 {
				v, err := s.Get(indicatorID(i))
				hits := found(t, s, fmt.Sprint("10.0.0.", i))
				if err != nil || (len(v) == 1) != (i%3 != 0) || len(hits) != len(v) {
					t.Errorf("%s: object %d has %d versions and %d hits, %v", when, i, len(v), len(hits), err)
				}
			}
			seen := 0
			if err := s.Scan(Query{}, func(v Version) bool { seen++; return true }); err != nil || seen != 13 {
				t.Errorf("%s: a scan shows %d, %v", when, seen, err)
			}
		}
		check("at first")
		if err := s.Reindex(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		check("after Reindex")
	})
}
