package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// Hit is a version that bears an observable value, with what is known of it
// without reading it.
type Hit struct {
	Key   stix.Key
	Added int64
	Brief Brief
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
	var failed error
	err := s.db.scan(prefix, nil, false, func(k, v []byte) bool {
		if len(k) == len(prefix)+8 {
			h := Hit{Key: key, Added: int64(lastNumber(k))}
			if h.Brief, failed = s.openBrief(v); failed != nil {
				return false
			}
			hits = append(hits, h)
		}
		return len(hits) < maxHits
	})
	if failed != nil {
		return hits, failed
	}
	return hits, err
}

// within adds the versions that bear an address or a smaller network inside a
// network.
func (s *Store) within(hits []Hit, key stix.Key) ([]Hit, error) {
	first, last := stix.AddressRange(key.Prefix)
	for _, kind := range []stix.KeyKind{stix.KeyIP, stix.KeyCIDR} {
		first[0], last[0] = byte(kind), byte(kind)
		from := append([]byte{kindValue}, first...)
		limit := append(append([]byte{kindValue}, last...), 0xff)
		var failed error
		err := s.db.scan(from[:2], from, false, func(k, sealed []byte) bool {
			if len(k) < 8 || bytes.Compare(k[:len(k)-8], limit) > 0 {
				return false
			}
			var v Version
			if v, failed = s.At(int64(lastNumber(k))); failed != nil {
				return false
			}
			for _, found := range v.Object.Keys() {
				if found.Kind != kind || found.Prefix.Bits() < key.Prefix.Bits() || !key.Prefix.Contains(found.Prefix.Addr()) ||
					found == key || !bytes.Equal(valuePrefix(found), k[:len(k)-8]) {
					continue
				}
				h := Hit{Key: found, Added: v.Added}
				if h.Brief, failed = s.openBrief(sealed); failed != nil {
					return false
				}
				hits = append(hits, h)
			}
			return len(hits) < maxHits
		})
		if err = errors.Join(err, failed); err != nil {
			return hits, err
		}
	}
	return hits, nil
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
	indexKeys     = 8000            // entries of one commit
	indexMost     = 50000           // entries that wait: about 15 MB
	indexLatest   = 3 * time.Second // that they wait while others write
	indexMessages = 64
)

// Run builds the value index until ctx ends. It must be running for lookups by
// value to catch up; everything else works without.
//
// Entries are made as messages come, while their objects are still at hand, and
// written in sorted batches when nothing else has been written for a moment, or
// when they have waited for three seconds.
func (s *Store) Run(ctx context.Context) error {
	const quiet = 20 * time.Millisecond
	rest := time.NewTimer(quiet)
	defer rest.Stop()
	p := &indexing{}
	for {
		watch := s.Watch()
		more, err := s.prepare(ctx, p)
		if err == nil && p.due() {
			err = s.flush(ctx, p)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && protocol.KindOf(err) != protocol.Full {
			return err // where there is no room now, the next write will tell
		}
		if more && err == nil {
			continue
		}
		rest.Reset(quiet)
		select {
		case <-ctx.Done():
			return nil
		case <-watch:
		case <-rest.C:
			if p.waiting() {
				if err := s.flush(ctx, p); err != nil && ctx.Err() == nil && protocol.KindOf(err) != protocol.Full {
					return err
				}
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-watch:
			}
		}
	}
}

// indexing is a batch of index entries in the making.
type indexing struct {
	from    int64 // what the store had indexed when the batch began
	next    int64 // what it will have
	since   time.Time
	entries []change
}

func (p *indexing) waiting() bool { return p.next > p.from }

// due reports whether the batch should wait no longer.
func (p *indexing) due() bool {
	return len(p.entries) >= indexMost || (p.waiting() && time.Since(p.since) > indexLatest)
}

// prepare adds the entries of messages after the batch's end. It reports
// whether there may be more to add.
func (s *Store) prepare(ctx context.Context, p *indexing) (bool, error) {
	if indexed := s.indexed.Load(); p.from != indexed || p.next < indexed {
		*p = indexing{from: indexed, next: indexed} // Reindex began anew
	}
	s.mu.RLock()
	last := s.count.LastAdded
	s.mu.RUnlock()
	if p.next >= last {
		return false, nil
	}
	if !p.waiting() {
		p.since = time.Now()
	}
	var entries []change
	var next int64
	var err error
	if fresh := s.feed.after(p.next); len(fresh) > 0 {
		entries, next = s.indexFed(fresh)
	} else {
		entries, next, err = s.indexStored(ctx, p.next)
	}
	if err = errors.Join(err, ctx.Err()); err != nil || next <= p.next {
		return false, err
	}
	p.entries, p.next = append(p.entries, entries...), next
	return true, nil
}

// flush writes the batch and moves the cursor in the same commits: the cursor
// goes with the last of them, so a crash in between repeats entries and loses
// none.
func (s *Store) flush(ctx context.Context, p *indexing) error {
	slices.SortFunc(p.entries, func(a, b change) int { return bytes.Compare(a.key, b.key) })
	for part := range slices.Chunk(p.entries, indexKeys) {
		err := s.do(ctx, func(g *group) error {
			for _, e := range part {
				g.set(e.key, e.value)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	err := s.do(ctx, func(g *group) error {
		g.set([]byte{kindState, 'v'}, binary.BigEndian.AppendUint64(nil, uint64(p.next)))
		g.set([]byte{kindState, 'p'}, s.prefixes.encode())
		return nil
	})
	if err != nil {
		return err
	}
	// Reindex may have begun anew meanwhile; then this batch counts for nothing.
	s.indexed.CompareAndSwap(p.from, p.next)
	*p = indexing{from: p.next, next: p.next, entries: p.entries[:0]}
	return nil
}

// indexFed makes the entries of messages that are still at hand.
func (s *Store) indexFed(fresh []fed) (entries []change, next int64) {
	for _, m := range fresh {
		for _, leaf := range m.leaves {
			if leaf.Allowed {
				entries = s.valuesOf(leaf.Object, m.log, m.sequence, m.added+int64(leaf.Position), entries)
			}
		}
		next = m.added + int64(m.objects) - 1
		if len(entries) >= indexKeys {
			break
		}
	}
	return entries, next
}

// indexStored makes the entries of messages read back from the log.
func (s *Store) indexStored(ctx context.Context, cursor int64) (entries []change, next int64, err error) {
	next = cursor
	messages := 0
	err = s.db.scan([]byte{kindMessage}, key8(kindMessage, uint64(cursor+1)), false, func(k, sealed []byte) bool {
		added := int64(lastNumber(k))
		r, err := decodeRecord(slices.Clone(sealed))
		var m *protocol.Message
		if err == nil {
			m, err = s.cfg.Codec.Reopen(r.frame)
		}
		if err != nil {
			// A damaged message must not hold up the index of all others.
			s.cfg.Logger.Error("a message cannot be indexed", "added", added, "err", err)
			next = added
			return ctx.Err() == nil
		}
		h := m.Header()
		for i := range h.Objects {
			if raw := m.Object(i); raw != nil && r.allowed(i) {
				// What does not parse was refused on the way in, or is damaged;
				// reads say so.
				if o, err := stix.Parse(raw, s.cfg.Limits); err == nil {
					entries = s.valuesOf(o, r.log, h.Sequence, added+int64(i), entries)
				}
			}
		}
		next = added + int64(h.Objects) - 1
		messages++
		return len(entries) < indexKeys && messages < indexMessages && ctx.Err() == nil
	})
	return entries, next, err
}

// valuesOf adds the index entries of an object's values.
func (s *Store) valuesOf(o *stix.Object, log uint32, sequence uint64, added int64, entries []change) []change {
	keys := o.Keys()
	if len(keys) == 0 {
		return entries
	}
	brief := sealBrief(o, log, sequence)
	for _, k := range keys {
		if k.Kind == stix.KeyCIDR {
			s.prefixes.add(k)
		}
		entries = append(entries, change{key: binary.BigEndian.AppendUint64(valuePrefix(k), uint64(added)), value: brief})
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
