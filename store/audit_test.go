package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"entente/protocol"
)

func rowNumbers(t testing.TB, s *Store, q AuditQuery) []uint64 {
	t.Helper()
	out := []uint64{}
	if err := s.AuditRows(q, func(r protocol.AuditRow) bool { out = append(out, r.Number); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAuditFilters writes rows of every sort and asks for them by each filter,
// in both directions, and again after the store was opened anew.
func TestAuditFilters(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 3, 4, 5, minutes, 0, 0, time.UTC) }
	bank, vendor, cert := protocol.MemberID(labHash("bank")), protocol.MemberID(labHash("vendor")), protocol.MemberID(labHash("cert"))
	pact, other := protocol.AgreementID(labHash("agreement")), protocol.AgreementID(labHash("other"))
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		ctx := context.Background()
		// Rows 1 and 2: who was connected. Row 3: of no party.
		err := s.Audit(ctx,
			protocol.AuditRow{Time: at(0), Kind: protocol.AuditPeer, Action: "connect", Outcome: "ok", Peer: "p1", Party: bank},
			protocol.AuditRow{Time: at(1), Kind: protocol.AuditPeer, Action: "connect", Outcome: "failed", Peer: "p2", Party: vendor},
			protocol.AuditRow{Time: at(2), Kind: protocol.AuditNode, Action: "start", Outcome: "ok"})
		if err != nil {
			t.Fatal(err)
		}
		// Rows 4 to 6 are about a message of objects 0 to 3.
		m := a.next(simples(0, 4)...)
		in := arrival(t, m)
		in.Leaves[3].Allowed = false
		about := protocol.AuditRow{Time: at(3), Agreement: pact, Topic: "feed", Log: &a.log, Sequence: 1, Peer: "p1", Party: bank}
		received, allowed, refused := about, about, about
		received.Kind, received.Action, received.Outcome = protocol.AuditMessage, "receive", "accept"
		allowed.Kind, allowed.Action, allowed.Outcome, allowed.Positions = protocol.AuditDecision, "receive", "allow", []int{0, 1, 2}
		refused.Kind, refused.Action, refused.Outcome, refused.Positions = protocol.AuditDecision, "receive", "refuse", []int{3}
		refused.Reason.Parties = []protocol.MemberID{cert}
		if _, _, err := s.Put(ctx, m, in.Leaves, []protocol.AuditRow{received, allowed, refused}); err != nil {
			t.Fatal(err)
		}
		// Row 7 names objects that are in no message, and one that is; row 8 is of
		// another agreement and topic.
		err = s.Audit(ctx,
			protocol.AuditRow{Time: at(4), Kind: protocol.AuditDecision, Action: "publish", Outcome: "withhold", Agreement: pact, Topic: "feed",
				Party: bank, Objects: []string{indicatorID(77), indicatorID(1)}, Reason: protocol.AuditReason{Parties: []protocol.MemberID{vendor, cert}}},
			protocol.AuditRow{Time: at(5), Kind: protocol.AuditDecision, Action: "read", Outcome: "allow", Agreement: other, Topic: "talk", Party: cert})
		if err != nil {
			t.Fatal(err)
		}
		queries := []struct {
			q    AuditQuery
			want []uint64
		}{
			{AuditQuery{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
			{AuditQuery{After: 6}, []uint64{7, 8}},
			{AuditQuery{After: 8}, []uint64{}},
			{AuditQuery{Since: at(3)}, []uint64{4, 5, 6, 7, 8}},
			{AuditQuery{Until: at(3)}, []uint64{1, 2, 3}},
			{AuditQuery{Since: at(1), Until: at(4)}, []uint64{2, 3, 4, 5, 6}},
			{AuditQuery{Peer: "p1"}, []uint64{1, 4, 5, 6}},
			{AuditQuery{Peer: "p"}, []uint64{}},
			{AuditQuery{Party: vendor}, []uint64{2, 7}},
			{AuditQuery{Party: cert}, []uint64{6, 7, 8}},
			{AuditQuery{Agreement: pact}, []uint64{4, 5, 6, 7}},
			{AuditQuery{Agreement: pact, Topic: "talk"}, []uint64{}},
			{AuditQuery{Topic: "talk"}, []uint64{8}},
			{AuditQuery{Kinds: []protocol.AuditKind{protocol.AuditPeer, protocol.AuditNode}}, []uint64{1, 2, 3}},
			{AuditQuery{Outcomes: []string{"withhold", "refuse"}}, []uint64{6, 7}},
			{AuditQuery{Outcomes: []string{"allow"}, Party: bank}, []uint64{5}},
			{AuditQuery{Object: indicatorID(0)}, []uint64{4, 5}},
			{AuditQuery{Object: indicatorID(1)}, []uint64{4, 5, 7}},
			{AuditQuery{Object: indicatorID(1), After: 4, Outcomes: []string{"allow"}}, []uint64{5}},
			{AuditQuery{Object: indicatorID(77)}, []uint64{7}},
			{AuditQuery{Object: indicatorID(78)}, []uint64{}},
		}
		check := func(when string) {
			t.Helper()
			for i, c := range queries {
				if got := rowNumbers(t, s, c.q); !slices.Equal(got, c.want) {
					t.Errorf("%s, query %d %+v: %v, want %v", when, i, c.q, got, c.want)
				}
				c.q.Reverse = true
				want := slices.Clone(c.want)
				slices.Reverse(want)
				if got := rowNumbers(t, s, c.q); !slices.Equal(got, want) {
					t.Errorf("%s, query %d in reverse: %v, want %v", when, i, got, want)
				}
			}
		}
		check("at first")
		first := 0
		if err := s.AuditRows(AuditQuery{}, func(protocol.AuditRow) bool { first++; return false }); err != nil || first != 1 {
			t.Errorf("%d rows after being told to stop, %v", first, err)
		}
		if cfg.Dir == "" {
			return
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openLab(t, cfg)
		check("after opening")
	})
}

// An object that policy refused here is in no index, but what was decided about
// it must be found all the same: that is what an operator asks about.
func TestAuditOfRefusedObject(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		m := a.next(simples(0, 2)...)
		in := arrival(t, m)
		in.Leaves[1].Allowed = false
		rows := []protocol.AuditRow{
			{Kind: protocol.AuditDecision, Action: "receive", Outcome: "allow", Log: &a.log, Sequence: 1, Positions: []int{0}},
			{Kind: protocol.AuditDecision, Action: "receive", Outcome: "refuse", Log: &a.log, Sequence: 1, Positions: []int{1}},
		}
		if _, _, err := s.Put(context.Background(), m, in.Leaves, rows); err != nil {
			t.Fatal(err)
		}
		if got := rowNumbers(t, s, AuditQuery{Object: indicatorID(1)}); !slices.Equal(got, []uint64{2}) {
			t.Errorf("the refused object: rows %v", got)
		}
	})
}

// Following: whoever waits for the next commit and asks after the last number
// that it saw, sees each row once, in order, whoever writes.
func TestAuditFollowing(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		const writers, each = 4, 25
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		errs := make(chan error, writers)
		for w := range writers {
			go func() {
				for i := range each {
					if err := s.Audit(ctx, protocol.AuditRow{Kind: protocol.AuditPeer, Peer: fmt.Sprint(w), Count: i}); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		var after uint64
		next := make([]int, writers)
		for after < writers*each {
			watch := s.Watch()
			came := false
			err := s.AuditRows(AuditQuery{After: after}, func(r protocol.AuditRow) bool {
				came = true
				if r.Number != after+1 {
					t.Errorf("row %d after row %d", r.Number, after)
				}
				after = r.Number
				w := int(r.Peer[0] - '0')
				if r.Count != next[w] {
					t.Errorf("writer %d: row %d, want %d", w, r.Count, next[w])
				}
				next[w]++
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if came {
				continue
			}
			select {
			case <-watch:
			case <-ctx.Done():
				t.Fatalf("nothing more after row %d", after)
			}
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}
