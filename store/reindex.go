package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"entente/protocol"
)

// reindexing is there from the first to the last commit of a Reindex.
func reindexing() []byte { return []byte{kindState, 'r'} }

// Reindex drops all derived indexes and builds them again from the log,
// calling progress with messages done and in all. Readers find less until it is
// done; writers go on. Crash, or an end of ctx, on the way: a mark in the
// database says so, and Run begins it again.
func (s *Store) Reindex(ctx context.Context, progress func(done, total uint64)) error {
	s.rebuilding.Lock()
	defer s.rebuilding.Unlock()
	err := s.do(ctx, 2, func(g *group) error {
		g.set(reindexing(), []byte{1})
		g.delete([]byte{kindState, 'v'})
		g.shown = append(g.shown, func() { s.indexed.Store(0) })
		return nil
	})
	if err != nil {
		return err
	}
	for _, kind := range []byte{kindValue, kindObject, kindTopic, kindControl} {
		if err := s.drop(ctx, kind); err != nil {
			return err
		}
	}
	total := s.Stats().Messages
	var from int64
	for done := uint64(0); ; {
		next, count, err := s.reindexSome(ctx, from)
		if err != nil {
			return err
		}
		if count == 0 {
			break
		}
		from = next
		done += count
		if progress != nil {
			progress(done, max(done, total))
		}
	}
	if err := s.reindexValues(ctx); err != nil {
		return err
	}
	return s.do(ctx, 1, func(g *group) error {
		g.delete(reindexing())
		return nil
	})
}

// resumeReindex goes on with a Reindex that did not end.
func (s *Store) resumeReindex(ctx context.Context) error {
	mark, err := s.db.get(reindexing())
	if err != nil || mark == nil {
		return err
	}
	s.cfg.Logger.Info("the indexes are built again: the last time it did not end")
	return s.Reindex(ctx, nil)
}

func (s *Store) reindexValues(ctx context.Context) error {
	p := &indexing{}
	for {
		more, err := s.prepare(ctx, p)
		if err != nil {
			return err
		}
		if p.due() || !more {
			if err := s.flush(ctx, p); err != nil || !more {
				return err
			}
		}
	}
}

// drop deletes all entries of a kind in batches that fit a transaction. Those
// that writers add meanwhile, at keys passed already, stay.
func (s *Store) drop(ctx context.Context, kind byte) error {
	from := []byte{kind}
	for {
		var keys [][]byte
		bytes := 0
		err := s.db.scan([]byte{kind}, from, false, func(k, _ []byte) bool {
			keys = append(keys, slices.Clone(k))
			bytes += len(k) + entryBytes
			return len(keys) < commitKeys
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = s.doSized(ctx, len(keys), bytes, func(g *group) error {
			for _, k := range keys {
				g.delete(k)
			}
			return nil
		})
		if err != nil {
			return err
		}
		from = append(keys[len(keys)-1], 0)
	}
}

// reindexSome writes the object and topic entries of some messages.
func (s *Store) reindexSome(ctx context.Context, from int64) (next int64, count uint64, err error) {
	var entries []change
	next = from
	var failed error
	err = s.db.scan([]byte{kindMessage}, key8(kindMessage, uint64(from+1)), false, func(k, sealed []byte) bool {
		var m *loaded
		if m, failed = s.unpack(int64(lastNumber(k)), slices.Clone(sealed)); failed != nil {
			return false
		}
		h := m.message.Header()
		entries = append(entries, change{key: binary.BigEndian.AppendUint64(topicPrefix(h.Agreement, h.Lane), uint64(m.added))})
		if h.Content == protocol.Control {
			entries = append(entries, change{key: key8(kindControl, uint64(m.added))})
		}
		for i := range h.Objects {
			var v Version
			var ok bool
			if v, ok, failed = s.version(m, i); failed != nil {
				return false
			}
			if ok {
				entries = append(entries, change{key: objectKey(v.ID, v.Modified, v.Added)})
			}
		}
		next = m.added
		count++
		return len(entries) < indexKeys && ctx.Err() == nil
	})
	if err = errors.Join(err, failed, ctx.Err()); err != nil || count == 0 {
		return next, count, err
	}
	return next, count, s.setAll(ctx, entries)
}
