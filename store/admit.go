package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"entente/protocol"
)

// doubt writes down which leaves of a message are decided about again, or that
// none is.
func (g *group) doubt(added int64, positions []int) {
	key := key8(kindDoubt, uint64(added))
	if len(positions) > 0 {
		g.set(key, encodePositions(nil, positions))
	} else if held, err := g.store.db.get(key); err != nil || held != nil {
		g.delete(key)
	}
}

// encodePositions adds positions of leaves to a value, and seals it.
func encodePositions(value []byte, positions []int) []byte {
	for _, p := range positions {
		value = binary.AppendUvarint(value, uint64(p))
	}
	return sealValue(value)
}

func decodePositions(b []byte) ([]int, error) {
	var out []int
	for len(b) > 0 {
		p, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, protocol.E(protocol.Conflict, "read the store", errors.New("a list of objects is cut short"), "run: entente doctor")
		}
		out, b = append(out, int(p)), b[n:]
	}
	return out, nil
}

// Doubtful calls yield with the messages added after a stamp that have leaves
// which were refused when they came and are to be decided about again, and with
// the positions of those, until it returns false.
func (s *Store) Doubtful(after int64, yield func(e Entry, positions []int) bool) error {
	var failed error
	err := s.db.scan([]byte{kindDoubt}, key8(kindDoubt, uint64(after+1)), false, func(k, sealed []byte) bool {
		var b []byte
		var positions []int
		if b, failed = openValue("a list of refused objects", sealed); failed == nil {
			positions, failed = decodePositions(b)
		}
		if failed != nil {
			return false
		}
		var m *loaded
		if m, failed = s.load(int64(lastNumber(k))); failed != nil {
			return false
		}
		return yield(Entry{Added: m.added, Message: m.message}, positions)
	})
	return errors.Join(err, failed)
}

// Admit settles leaves of a stored message that were refused when it came: those
// that are Allowed now go into the indexes, with the stamps that they have, and
// are found and shown from then on; those that are neither Allowed nor Doubtful
// are refused for good. Leaves that were erased meanwhile are passed over. Audit
// rows are part of the transaction, which is durable on return. Run must be
// running.
func (s *Store) Admit(ctx context.Context, added int64, leaves []Leaf, audit ...protocol.AuditRow) error {
	m, err := s.load(added)
	if err != nil {
		return err
	}
	// What makes the value index must be past the message, as it was refused.
	if err := s.WaitIndexed(ctx, added+int64(m.message.Header().Objects)-1); err != nil {
		return err
	}
	s.rebuilding.RLock()
	defer s.rebuilding.RUnlock()
	keys, size := entriesOf(leaves, audit)
	for _, leaf := range leaves {
		if leaf.Allowed && leaf.Object != nil {
			keys += len(leaf.Object.Keys())
		}
	}
	return s.doSized(ctx, keys, size+keys*inlineValue, func(g *group) error { return g.admit(added, leaves, audit) })
}

func (g *group) admit(added int64, leaves []Leaf, audit []protocol.AuditRow) error {
	// Read again by the writer: an erasure may have been at it.
	held, err := g.message(added)
	if err != nil {
		return err
	}
	h, rec := held.message.Header(), held.record
	rec.refused = slices.Clone(rec.refused)
	var admitted, doubtful []int
	for _, leaf := range leaves {
		switch i := leaf.Position; {
		case i < 0 || i >= h.Objects:
			return protocol.Errorf(protocol.Invalid, "admit", "message %d of the log has no object %d", h.Sequence, i)
		case rec.allowed(i) || held.message.Object(i) == nil:
		case leaf.Doubtful:
			doubtful = append(doubtful, i)
		case leaf.Allowed:
			rec.refused[i/8] &^= 1 << (i % 8)
			admitted = append(admitted, i)
			g.set(objectKey(leaf.ID, leaf.Modified, added+int64(i)), nil)
			for _, e := range g.store.valuesOf(leaf.Object, rec.log, h.Sequence, added+int64(i), nil) {
				g.set(e.key, e.value)
			}
		}
	}
	g.doubt(added, doubtful)
	if len(admitted) > 0 {
		g.set(key8(kindMessage, uint64(added)), rec.encode())
		g.set([]byte{kindState, 'p'}, sealValue(g.store.prefixes.encode()))
		g.count.LastAdded = max(g.store.cfg.Clock().UnixMicro(), g.count.LastAdded+1)
		stamp := binary.BigEndian.AppendUint64(nil, uint64(added))
		g.set(key8(kindAdmit, uint64(g.count.LastAdded)), encodePositions(stamp, admitted))
		g.count.Objects += uint64(len(admitted))
		g.shown = append(g.shown, func() { g.store.cache.drop(added) })
	}
	return g.audit(audit, leaves)
}

// message reads a stored message as the group has left it.
func (g *group) message(added int64) (*loaded, error) {
	key := key8(kindMessage, uint64(added))
	sealed := g.value(key)
	if sealed == nil {
		var err error
		if sealed, err = g.store.db.get(key); err != nil {
			return nil, err
		}
	}
	return g.store.unpack(added, sealed)
}

// Admitted calls yield with the versions of a query that were let in after they
// came, in that order, and with the stamp of that, until it returns false. The
// query's After is such a stamp, and its Before and Reverse say nothing here;
// versions keep the stamp of their arrival.
func (s *Store) Admitted(q Query, yield func(v Version, stamp int64) bool) error {
	after := q.After
	q.After, q.Before = 0, 0
	var failed error
	err := s.db.scan([]byte{kindAdmit}, key8(kindAdmit, uint64(after+1)), false, func(k, sealed []byte) bool {
		var more bool
		more, failed = s.admitted(int64(lastNumber(k)), sealed, func(v Version, stamp int64) bool { return !q.takes(v) || yield(v, stamp) })
		return more && failed == nil
	})
	return errors.Join(err, failed)
}

// admitted yields what was let in at one stamp.
func (s *Store) admitted(stamp int64, sealed []byte, yield func(Version, int64) bool) (more bool, err error) {
	b, err := openValue("a list of admitted objects", sealed)
	if err != nil {
		return false, err
	}
	if len(b) < 8 {
		return false, protocol.E(protocol.Conflict, "read the store", errors.New("a list of admitted objects is cut short"), "run: entente doctor")
	}
	positions, err := decodePositions(b[8:])
	if err != nil {
		return false, err
	}
	m, err := s.load(int64(binary.BigEndian.Uint64(b)))
	if err != nil {
		return false, err
	}
	for _, i := range positions {
		v, ok, err := s.version(m, i)
		if err != nil {
			return false, err
		}
		if ok && !yield(v, stamp) {
			return false, nil
		}
	}
	return true, nil
}
