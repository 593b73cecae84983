package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"entente/protocol"
)

// Erasure names objects of one message that are to be erased.
type Erasure struct {
	Log       protocol.LogID
	Sequence  uint64
	Positions []int
}

// Erase takes objects out of stored messages: their bytes, their salts and their
// index entries go, the signed header and the hashes of the leaves stay, so that
// the message still verifies and the log has no gap. Messages that are not held,
// and objects that are gone already, are passed over; erased is how many were
// there. Rows are written with the first of them, or alone where there is none.
//
// What was erased is not shown from then on; it is gone from the disk when Purge
// has returned after that. Run must be running: an object whose values are not
// indexed yet is waited for.
func (s *Store) Erase(ctx context.Context, list []Erasure, audit ...protocol.AuditRow) (erased int, err error) {
	for _, e := range list {
		s.mu.RLock()
		l := s.logs[e.Log]
		s.mu.RUnlock()
		if l == nil {
			continue
		}
		added, _, err := s.entry(l.number, e.Sequence)
		if protocol.KindOf(err) == protocol.NotFound || added == 0 {
			continue
		}
		if err != nil {
			return erased, err
		}
		n, err := s.eraseFrom(ctx, added, e, audit)
		if err != nil {
			return erased, err
		}
		audit = nil
		erased += n
	}
	if len(audit) > 0 {
		return erased, s.Audit(ctx, audit...)
	}
	return erased, nil
}

// toErase is kept while something that was erased may be left on disk.
func toErase() []byte { return []byte{kindState, 'e'} }

// eraseFrom erases objects of the message that was added at the stamp.
func (s *Store) eraseFrom(ctx context.Context, added int64, e Erasure, audit []protocol.AuditRow) (erased int, err error) {
	m, err := s.load(added)
	if err != nil {
		return 0, err
	}
	last := added + int64(m.message.Header().Objects) - 1
	if err := s.WaitIndexed(ctx, last); err != nil {
		return 0, err
	}
	// A reindex would write again what it has read before.
	s.rebuilding.RLock()
	defer s.rebuilding.RUnlock()
	keys := 4
	for _, position := range e.Positions {
		if v, ok, err := s.version(m, position); err == nil && ok {
			keys += 1 + len(v.Object.Keys())
		}
	}
	auditKeys, auditBytes := entriesOf(nil, audit)
	err = s.doSized(ctx, keys+auditKeys, keys*inlineValue+auditBytes, func(g *group) error {
		// Read again by the writer: another erasure may have been at it.
		held, err := g.message(added)
		if err != nil {
			return err
		}
		rec := held.record
		erased = 0 // not what a try counted that was not written
		for _, position := range e.Positions {
			if position < 0 || position >= held.message.Header().Objects {
				return protocol.Errorf(protocol.Invalid, "erase", "message %d of the log has no object %d", e.Sequence, position)
			}
			if held.message.Object(position) == nil {
				continue
			}
			erased++
			v, ok, err := s.version(held, position)
			if err != nil || !ok {
				continue // in no index
			}
			g.delete(objectKey(v.ID, v.Modified, v.Added))
			for _, k := range v.Object.Keys() {
				g.delete(binary.BigEndian.AppendUint64(valuePrefix(k), uint64(v.Added)))
			}
			g.count.Objects--
		}
		if erased == 0 {
			return g.audit(audit, nil) // nothing to be rid of
		}
		rest, err := s.cfg.Codec.Without(held.message, e.Positions...)
		if err != nil {
			return err
		}
		rec.frame = rest.Frame()
		g.set(key8(kindMessage, uint64(added)), rec.encode())
		g.set(toErase(), []byte{1})
		g.shown = append(g.shown, func() { s.cache.drop(added) })
		return g.audit(audit, nil)
	})
	return erased, err
}

// Purge makes sure that nothing of what was erased before is left on disk. It
// takes as long as rewriting the files that held it, and readers wait for a
// moment. Where nothing was erased since the last one it does nothing. It fails
// with Conflict when the store is read all the time: then it is to be called again.
func (s *Store) Purge(ctx context.Context) error {
	const op = "purge the store"
	mark, err := s.db.get(toErase())
	if err != nil || mark == nil {
		return err
	}
	if err := s.alone(ctx, s.db.renew); errors.Is(err, errBusy) {
		return protocol.E(protocol.Conflict, op, err, "it is tried again by itself")
	} else if err != nil {
		return protocol.E(protocol.Other, op, err, "stop the node and start it again")
	}
	if err := s.db.flatten(); err != nil {
		return protocol.E(protocol.Other, op, err, "it is tried again by itself")
	}
	// Writers get their turn between two files.
	for more := true; more; {
		err := s.alone(ctx, func() (err error) {
			more, err = s.db.collect()
			return err
		})
		if err != nil {
			return protocol.E(protocol.Other, op, err, "it is tried again by itself")
		}
	}
	return s.do(ctx, 1, func(g *group) error {
		g.delete(toErase())
		return nil
	})
}

// alone has the writer call a function between two groups.
func (s *Store) alone(ctx context.Context, f func() error) error {
	r := &request{done: make(chan struct{}), alone: f}
	if err := s.submit(ctx, r); err != nil {
		return err
	}
	return s.wait(ctx, r)
}

// Purging reports whether something that was erased may still be left on disk.
func (s *Store) Purging() (bool, error) {
	mark, err := s.db.get(toErase())
	return mark != nil, err
}

// value returns what the group sets a key to, or nil.
func (g *group) value(key []byte) []byte {
	for i := len(g.changes) - 1; i >= 0; i-- {
		if bytes.Equal(g.changes[i].key, key) {
			return g.changes[i].value
		}
	}
	return nil
}

// drop forgets a message that has changed, for good: who read it before may still
// come to put it here.
func (c *messageCache) drop(added int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.barred[added] = true
	e := c.byAdd[added]
	if e == nil {
		return
	}
	c.used -= cost(e.Value.(*loaded))
	c.order.Remove(e)
	delete(c.byAdd, added)
	if at, ok := slices.BinarySearch(c.starts, added); ok {
		c.starts = slices.Delete(c.starts, at, at+1)
	}
}
