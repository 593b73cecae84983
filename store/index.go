package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"

	"entente/protocol"
	"entente/protocol/stix"
)

// Hit is a version that bears an observable value.
type Hit struct {
	Key   stix.Key
	Added int64
}

// maxHits bounds what one value may bring back.
const maxHits = 1000

// Lookup returns, for each key, the versions that bear it: equality, and for
// addresses and networks containment in both directions. Each list is bounded
// by 1,000. What was added after Stats().Indexed is not found yet.
func (s *Store) Lookup(keys []stix.Key) ([][]Hit, error) {
	out := make([][]Hit, len(keys))
	for i, key := range keys {
		hits, err := s.bearing(nil, key)
		if err != nil {
			return nil, err
		}
		if key.Kind == stix.KeyIP || key.Kind == stix.KeyCIDR {
			for _, wide := range stix.Enclosing(key) {
				if !s.prefixes.has(wide) || len(hits) >= maxHits {
					continue
				}
				if hits, err = s.bearing(hits, wide); err != nil {
					return nil, err
				}
			}
		}
		if key.Kind == stix.KeyCIDR {
			if hits, err = s.within(hits, key); err != nil {
				return nil, err
			}
		}
		out[i] = hits
	}
	return out, nil
}

func valuePrefix(k stix.Key) []byte { return stix.AppendKey([]byte{kindValue}, k) }

// bearing adds the versions that bear exactly the key.
func (s *Store) bearing(hits []Hit, key stix.Key) ([]Hit, error) {
	prefix := valuePrefix(key)
	err := s.db.scan(prefix, nil, false, func(k, _ []byte) bool {
		if len(k) == len(prefix)+8 {
			hits = append(hits, Hit{key, int64(lastNumber(k))})
		}
		return len(hits) < maxHits
	})
	return hits, err
}

// within adds the versions that bear an address inside a network.
func (s *Store) within(hits []Hit, key stix.Key) ([]Hit, error) {
	first, last := stix.AddressRange(key.Prefix)
	from := append([]byte{kindValue}, first...)
	limit := append([]byte{kindValue}, last...)
	var failed error
	err := s.db.scan(from[:2], from, false, func(k, _ []byte) bool {
		if len(k) < 8 || bytes.Compare(k[:len(k)-8], limit) > 0 {
			return false
		}
		var v Version
		if v, failed = s.At(int64(lastNumber(k))); failed != nil {
			return false
		}
		for _, found := range v.Object.Keys() {
			if found.Kind == stix.KeyIP && bytes.Equal(valuePrefix(found), k[:len(k)-8]) && key.Prefix.Contains(found.Prefix.Addr()) {
				hits = append(hits, Hit{found, v.Added})
			}
		}
		return len(hits) < maxHits
	})
	if failed != nil {
		return hits, failed
	}
	return hits, err
}

// prefixSet knows which lengths of network prefixes are indexed at all, so that
// looking up an address asks for few networks instead of 128. The lengths are
// kept as a bit each, IPv4 apart from IPv6.
type prefixSet struct {
	bits [5]atomic.Uint64 // 33 of IPv4 and 129 of IPv6, in the order of IPv4 then IPv6
}

func prefixBit(k stix.Key) int {
	if k.Prefix.Addr().Is4() {
		return k.Prefix.Bits()
	}
	return 33 + k.Prefix.Bits()
}

func (p *prefixSet) has(k stix.Key) bool {
	bit := prefixBit(k)
	return p.bits[bit/64].Load()&(1<<(bit%64)) != 0
}

func (p *prefixSet) add(k stix.Key) {
	bit := prefixBit(k)
	p.bits[bit/64].Or(1 << (bit % 64))
}

func (p *prefixSet) encode() []byte {
	var b []byte
	for i := range p.bits {
		b = binary.BigEndian.AppendUint64(b, p.bits[i].Load())
	}
	return b
}

func (p *prefixSet) recover(db backend) error {
	b, err := db.get([]byte{kindState, 'p'})
	if err != nil || len(b) != 8*len(p.bits) {
		return err
	}
	for i := range p.bits {
		p.bits[i].Store(binary.BigEndian.Uint64(b[8*i:]))
	}
	return nil
}

const (
	indexKeys     = 8000 // entries of one batch
	indexMessages = 64
)

// Run builds the value index until ctx ends. It must be running for lookups by
// value to catch up; everything else works without.
func (s *Store) Run(ctx context.Context) error {
	watch := s.Watch()
	for {
		did, err := s.indexSome(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if protocol.KindOf(err) != protocol.Full {
				return err
			}
			// No room now: look again when something could be written.
		}
		if did {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch:
			watch = s.Watch()
		}
	}
}

// indexSome indexes the values of some messages after the cursor, and moves it
// in the same commit. It reports whether there was anything to do.
func (s *Store) indexSome(ctx context.Context) (bool, error) {
	cursor := s.indexed.Load()
	s.mu.RLock()
	last := s.count.LastAdded
	s.mu.RUnlock()
	if cursor >= last {
		return false, nil
	}
	var entries [][]byte
	messages := 0
	var failed error
	next := cursor
	err := s.db.scan([]byte{kindMessage}, key8(kindMessage, uint64(cursor+1)), false, func(k, sealed []byte) bool {
		m := &loaded{added: int64(lastNumber(k))}
		if m.record, failed = decodeRecord(slices.Clone(sealed)); failed == nil {
			m.message, failed = s.cfg.Codec.Reopen(m.record.frame)
		}
		if failed != nil {
			// A damaged message must not hold up the index of all others.
			s.cfg.Logger.Error("a message cannot be indexed", "added", m.added, "err", failed)
			failed = nil
			next = m.added
			return ctx.Err() == nil
		}
		entries = s.valuesOf(m, entries)
		next = m.added + int64(m.message.Header().Objects) - 1
		messages++
		return len(entries) < indexKeys && messages < indexMessages && ctx.Err() == nil
	})
	if err = errors.Join(err, failed, ctx.Err()); err != nil || next == cursor {
		return false, err
	}
	slices.SortFunc(entries, bytes.Compare)
	err = s.do(ctx, func(g *group) error {
		for _, e := range entries {
			g.set(e, nil)
		}
		g.set([]byte{kindState, 'v'}, binary.BigEndian.AppendUint64(nil, uint64(next)))
		g.set([]byte{kindState, 'p'}, s.prefixes.encode())
		return nil
	})
	if err == nil {
		s.indexed.Store(next)
	}
	return err == nil, err
}

// valuesOf adds the index entries of a message's values.
func (s *Store) valuesOf(m *loaded, entries [][]byte) [][]byte {
	for i := range m.message.Header().Objects {
		if !m.record.allowed(i) {
			continue
		}
		raw := m.message.Object(i)
		if raw == nil {
			continue
		}
		o, err := stix.Parse(raw, s.cfg.Limits)
		if err != nil {
			continue // it was refused on the way in, or is damaged; reads say so
		}
		for _, k := range o.Keys() {
			if k.Kind == stix.KeyCIDR {
				s.prefixes.add(k)
			}
			entries = append(entries, binary.BigEndian.AppendUint64(valuePrefix(k), uint64(m.added)+uint64(i)))
		}
	}
	return entries
}

// WaitIndexed waits until lookups see everything added up to the stamp.
func (s *Store) WaitIndexed(ctx context.Context, added int64) error {
	for {
		watch := s.Watch()
		if s.indexed.Load() >= added {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch:
		}
	}
}

// Reindex drops all derived indexes and builds them again from the log,
// calling progress with messages done and in all. Lookups find less until it
// is done; a crash on the way is mended by the next start, which goes on from
// the cursor, or by calling it again.
func (s *Store) Reindex(ctx context.Context, progress func(done, total uint64)) error {
	for _, kind := range []byte{kindValue, kindObject, kindTopic} {
		if err := s.drop(ctx, kind); err != nil {
			return err
		}
	}
	err := s.do(ctx, func(g *group) error {
		g.delete([]byte{kindState, 'v'})
		return nil
	})
	if err != nil {
		return err
	}
	s.indexed.Store(0)
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
			progress(done, total)
		}
	}
	for {
		did, err := s.indexSome(ctx)
		if err != nil || !did {
			return err
		}
	}
}

// drop deletes all entries of a kind in batches that fit a transaction.
func (s *Store) drop(ctx context.Context, kind byte) error {
	for {
		var keys [][]byte
		err := s.db.scan([]byte{kind}, nil, false, func(k, _ []byte) bool {
			keys = append(keys, slices.Clone(k))
			return len(keys) < 8000
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = s.do(ctx, func(g *group) error {
			for _, k := range keys {
				g.delete(k)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// reindexSome writes the object and topic entries of some messages.
func (s *Store) reindexSome(ctx context.Context, from int64) (next int64, count uint64, err error) {
	var entries [][]byte
	next = from
	var failed error
	err = s.db.scan([]byte{kindMessage}, key8(kindMessage, uint64(from+1)), false, func(k, sealed []byte) bool {
		var m *loaded
		if m, failed = s.unpack(int64(lastNumber(k)), sealed); failed != nil {
			return false
		}
		h := m.message.Header()
		entries = append(entries, binary.BigEndian.AppendUint64(topicPrefix(h.Agreement, h.Lane), uint64(m.added)))
		for i := range h.Objects {
			var v Version
			var ok bool
			if v, ok, failed = s.version(m, i); failed != nil {
				return false
			}
			if ok {
				entries = append(entries, objectKey(v.ID, v.Modified, v.Added))
			}
		}
		next = m.added
		count++
		return len(entries) < indexKeys
	})
	if err = errors.Join(err, failed); err != nil || count == 0 {
		return next, count, err
	}
	return next, count, s.do(ctx, func(g *group) error {
		for _, e := range entries {
			g.set(e, nil)
		}
		return nil
	})
}
