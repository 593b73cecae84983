package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"

	"entente/protocol"
)

// Audit appends rows that belong to no message, durable on return.
func (s *Store) Audit(ctx context.Context, rows ...protocol.AuditRow) error {
	keys, bytes := entriesOf(nil, rows)
	return s.doSized(ctx, keys+len(rows), bytes, func(g *group) error { return g.audit(rows, nil) })
}

// audit numbers rows and adds them to the group with what finds them again.
// Objects that policy refused are in no index: the rows that decided about
// these leaves are found by their ids too.
func (g *group) audit(rows []protocol.AuditRow, leaves []Leaf) error {
	for _, row := range rows {
		g.count.AuditRows++
		row.Number = g.count.AuditRows
		encoded, err := protocol.EncodeAuditRow(row)
		if err != nil {
			return err
		}
		g.set(key8(kindAudit, row.Number), sealValue(encoded))
		number := binary.BigEndian.AppendUint64(nil, row.Number)
		if row.Kept != nil && len(row.Kept.Basis) > 0 {
			hash := sha256.Sum256(row.Kept.Basis)
			g.set(append([]byte{kindBasis}, hash[:]...), sealValue(number))
		}
		for _, id := range row.Objects {
			g.set(append(append([]byte{kindNamed}, idHash(id)...), number...), nil)
		}
		for id := range refusedBy(row, leaves) {
			g.set(append(append([]byte{kindNamed}, idHash(id)...), number...), nil)
		}
		if row.Log != nil && row.Sequence > 0 {
			if l := g.log(*row.Log); l.number != 0 {
				g.set(append(aboutKey(l.number, row.Sequence), number...), nil)
			}
		}
	}
	return nil
}

// refusedBy yields the ids of the leaves that policy did not take and that the
// row decided about.
func refusedBy(row protocol.AuditRow, leaves []Leaf) iter.Seq[string] {
	return func(yield func(string) bool) {
		if row.Kind != protocol.AuditDecision || row.Log == nil {
			return
		}
		about := make(map[int]bool, len(row.Positions))
		for _, p := range row.Positions {
			about[p] = true
		}
		for _, leaf := range leaves {
			if !leaf.Allowed && leaf.ID != "" && (row.Positions == nil || about[leaf.Position]) && !yield(leaf.ID) {
				return
			}
		}
	}
}

// AuditQuery selects audit rows; zero fields do not restrict.
type AuditQuery struct {
	After     uint64 // row number, exclusive
	Since     time.Time
	Until     time.Time
	Kinds     []protocol.AuditKind
	Outcomes  []string
	Agreement protocol.AgreementID
	Topic     string
	Peer      string
	Party     protocol.MemberID
	Object    string // id: rows about a message that holds it, and rows that name it
	Reverse   bool
}

func (q AuditQuery) takes(r protocol.AuditRow) bool {
	return r.Number > q.After && (q.Since.IsZero() || !r.Time.Before(q.Since)) && (q.Until.IsZero() || r.Time.Before(q.Until)) &&
		(len(q.Kinds) == 0 || slices.Contains(q.Kinds, r.Kind)) && (len(q.Outcomes) == 0 || slices.Contains(q.Outcomes, r.Outcome)) &&
		(q.Agreement.IsZero() || r.Agreement == q.Agreement) && (q.Topic == "" || r.Topic == q.Topic) &&
		(q.Peer == "" || r.Peer == q.Peer) &&
		(q.Party.IsZero() || r.Party == q.Party || slices.Contains(r.Reason.Parties, q.Party))
}

// AuditRows calls yield with matching rows until it returns false.
func (s *Store) AuditRows(q AuditQuery, yield func(protocol.AuditRow) bool) error {
	if q.Object != "" {
		return s.auditObject(q, yield)
	}
	var from []byte
	if !q.Reverse && q.After > 0 {
		from = key8(kindAudit, q.After+1)
	}
	var failed error
	err := s.db.scan([]byte{kindAudit}, from, q.Reverse, func(_, sealed []byte) bool {
		var row protocol.AuditRow
		if row, failed = decodeAudit(sealed); failed != nil {
			return false
		}
		if q.Reverse && row.Number <= q.After {
			return false
		}
		return !q.takes(row) || yield(row)
	})
	if failed != nil {
		return failed
	}
	return err
}

// Basis returns what decisions rested on that name it by its hash, as its row keeps
// it. One that no row keeps is NotFound.
func (s *Store) Basis(hash protocol.Hash) ([]byte, error) {
	const op = "read the audit log"
	sealed, err := s.db.get(append([]byte{kindBasis}, hash[:]...))
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, protocol.Errorf(protocol.NotFound, op, "no row keeps the basis %s", hash.Short())
	}
	number, err := openValue("an index of the audit log", sealed)
	if err != nil {
		return nil, err
	}
	if len(number) != 8 {
		return nil, protocol.Errorf(protocol.Conflict, op, "the index of bases is damaged")
	}
	if sealed, err = s.db.get(key8(kindAudit, binary.BigEndian.Uint64(number))); err != nil {
		return nil, err
	}
	row, err := decodeAudit(sealed)
	if err != nil {
		return nil, err
	}
	if row.Kept == nil || sha256.Sum256(row.Kept.Basis) != hash {
		return nil, protocol.E(protocol.Conflict, op, fmt.Errorf("row %d does not hold the basis %s that it was written for", row.Number, hash.Short()), "run: entente doctor")
	}
	return row.Kept.Basis, nil
}

func decodeAudit(sealed []byte) (protocol.AuditRow, error) {
	b, err := openValue("an audit row", sealed)
	if err != nil {
		return protocol.AuditRow{}, err
	}
	return protocol.DecodeAuditRow(b)
}

// auditObject finds the rows about one object: those that name it, and those
// about the leaves of messages that hold it.
func (s *Store) auditObject(q AuditQuery, yield func(protocol.AuditRow) bool) error {
	leaves := map[uint64][]int{} // row → leaves of the object in its message; none: the row names it
	err := s.db.scan(append([]byte{kindNamed}, idHash(q.Object)...), nil, false, func(k, _ []byte) bool {
		leaves[lastNumber(k)] = nil
		return true
	})
	if err != nil {
		return err
	}
	versions, err := s.Get(q.Object)
	if err != nil {
		return err
	}
	for _, v := range versions {
		s.mu.RLock()
		l := s.logs[v.Log]
		s.mu.RUnlock()
		if l == nil {
			continue
		}
		err := s.db.scan(aboutKey(l.number, v.Sequence), nil, false, func(k, _ []byte) bool {
			n := lastNumber(k)
			leaves[n] = append(leaves[n], v.Position)
			return true
		})
		if err != nil {
			return err
		}
	}
	numbers := make([]uint64, 0, len(leaves))
	for n := range leaves {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	if q.Reverse {
		slices.Reverse(numbers)
	}
	for _, n := range numbers {
		sealed, err := s.db.get(key8(kindAudit, n))
		if err != nil {
			return err
		}
		row, err := decodeAudit(sealed)
		if err != nil {
			return err
		}
		about := leaves[n] == nil || row.Positions == nil || slices.ContainsFunc(leaves[n], func(p int) bool { return slices.Contains(row.Positions, p) })
		if about && q.takes(row) && !yield(row) {
			return nil
		}
	}
	return nil
}
