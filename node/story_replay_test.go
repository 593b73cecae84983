package node_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"entente/node"
	"entente/policy"
	"entente/protocol"
	"entente/store"
)

// replay makes the recorded decisions of a node again, and tells of those that do
// not come out the same.
func (s *story) replay(at *resident) string {
	<-time.After(time.Second) // notes are written soon, not at once
	synctest.Wait()
	var b strings.Builder
	sum, err := at.node.Replay(context.Background(), node.ReplayQuery{}, nil, func(r node.Replayed) bool {
		fmt.Fprintf(&b, "%s: %s %s %s %s", r.Result, r.Row.Action, r.Row.Outcome, r.Row.Topic, r.Row.Party)
		text, _, _ := strings.Cut(r.Text, "no row keeps the basis") // a hash follows
		fmt.Fprintf(&b, ": %s", text)
		if r.Again != nil {
			fmt.Fprintf(&b, "\n  now: %s by %s clause %s: %s", r.Again.Outcome, r.Again.Layer, r.Again.Clause, r.Again.Text)
		}
		b.WriteString("\n")
		return true
	})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if sum.Rows != sum.Same+sum.Changed+sum.Different+sum.Gone {
		return fmt.Sprintf("error: the counts do not add up: %+v\n", sum)
	}
	if sum.Same == 0 {
		b.WriteString("none the same\n")
	}
	return b.String() + fmt.Sprintf("%d changed, %d different, %d gone\n", sum.Changed, sum.Different, sum.Gone)
}

// forgeRow writes a copy of the newest decision with some action into a node's
// audit log, with something else in it, as somebody with access to it could.
func (s *story) forgeRow(t *testing.T, at *resident, action, change string) string {
	t.Helper()
	<-time.After(time.Second)
	var found *protocol.AuditRow
	key := "rows of " + at.handle
	if s.labels[key] == nil {
		s.labels[key] = []byte(strconv.FormatUint(at.store.Stats().AuditRows, 10))
	}
	genuine, err := strconv.ParseUint(string(s.labels[key]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	err = at.store.AuditRows(store.AuditQuery{Kinds: []protocol.AuditKind{protocol.AuditDecision}, Reverse: true}, func(row protocol.AuditRow) bool {
		if row.Action == action && row.Number <= genuine && row.Reason.Layer == policy.Governing.String() && (row.Kept == nil || row.Count > 0) && row.Topic != protocol.AgreementTopic && !strings.Contains(row.Reason.Text, "erased") {
			found = &row
		}
		return found == nil
	})
	if err != nil || found == nil {
		t.Fatalf("no row with the action %s: %v", action, err)
	}
	row := *found
	switch change {
	case "outcome":
		was := row.Outcome
		if row.Outcome = policy.Refuse.String(); was == row.Outcome {
			row.Outcome = policy.Allow.String()
		}
	case "clause":
		row.Reason.Clause = "99"
	case "time":
		row.Time = row.Time.Add(-10 * 365 * 24 * time.Hour)
	case "party":
		row.Party = s.lab.members["vendor"].record.Member
	case "basis":
		row.Basis[3] ^= 1
	case "count":
		row.Count++
		if row.Kept != nil {
			row.Count = 0
		}
	case "sequence":
		row.Sequence += 1000
	default:
		t.Fatalf("no change %q", change)
	}
	if err := at.store.Audit(context.Background(), row); err != nil {
		t.Fatal(err)
	}
	return ""
}
