package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
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
				if wide == key || !s.prefixes.has(wide) || len(hits) >= maxHits {
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

// within adds the versions that bear an address inside a network, or a network
// inside it; its own it leaves to bearing.
func (s *Store) within(hits []Hit, key stix.Key) ([]Hit, error) {
	first, last := stix.AddressRange(key.Prefix)
	var err error
	for _, kind := range []stix.KeyKind{stix.KeyIP, stix.KeyCIDR} {
		first[0], last[0] = byte(kind), byte(kind)
		if hits, err = s.between(hits, key, first, last); err != nil {
			return hits, err
		}
	}
	return hits, nil
}

// between adds what the network contains of the index entries from first on,
// up to those that begin with last.
func (s *Store) between(hits []Hit, key stix.Key, first, last []byte) ([]Hit, error) {
	own := stix.AppendKey(nil, key)
	var failed error
	err := s.db.scan([]byte{kindValue, first[0]}, append([]byte{kindValue}, first...), false, func(k, sealed []byte) bool {
		if len(k) < 9 {
			failed = protocol.E(protocol.Conflict, "read the store", errors.New("an index entry is cut short"), "run: entente reindex")
			return false
		}
		value := k[1 : len(k)-8]
		if len(value) >= len(last) && bytes.Compare(value[:len(last)], last) > 0 {
			return false
		}
		found, ok := addressKey(value)
		if !ok || bytes.Equal(value, own) || found.Prefix.Addr().Is4() != key.Prefix.Addr().Is4() || found.Prefix.Bits() < key.Prefix.Bits() {
			return true
		}
		h := Hit{Key: found, Added: int64(lastNumber(k))}
		if h.Brief, failed = s.openBrief(sealed); failed != nil {
			return false
		}
		hits = append(hits, h)
		return len(hits) < maxHits
	})
	return hits, errors.Join(err, failed)
}

// addressKey reads the form of an address or network in the index.
func addressKey(value []byte) (stix.Key, bool) {
	if len(value) < 17 {
		return stix.Key{}, false
	}
	addr := netip.AddrFrom16([16]byte(value[1:17])).Unmap()
	bits := addr.BitLen()
	if kind := stix.KeyKind(value[0]); kind == stix.KeyCIDR && len(value) == 18 {
		bits = int(value[17])
		if addr.Is4() && bits >= 96 {
			bits -= 96
		} else if addr.Is4() {
			addr = netip.AddrFrom16([16]byte(value[1:17])) // a network of IPv6 that begins as mapped IPv4 does
		}
	} else if kind != stix.KeyIP || len(value) != 17 {
		return stix.Key{}, false
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return stix.Key{}, false
	}
	k := stix.Key{Kind: stix.KeyKind(value[0]), Value: p.String(), Prefix: p}
	if k.Kind == stix.KeyIP {
		k.Value = addr.String()
	}
	return k, true
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
	if err != nil || b == nil {
		return err
	}
	if b, err = openValue("the lengths of indexed networks", b); err != nil || len(b) != 8*len(p.bits) {
		return err
	}
	for i := range p.bits {
		p.bits[i].Store(binary.BigEndian.Uint64(b[8*i:]))
	}
	return nil
}

const (
	indexKeys     = 8000            // entries that are gathered at once
	commitKeys    = 2000            // entries of one commit: they fit the smallest transaction, and hold up others little
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
	if err := s.resumeReindex(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
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
		if entries, next, err = s.indexStored(ctx, p.next); next == p.next {
			next = last // what was added there is no message
		}
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
	if err := s.setAll(ctx, p.entries); err != nil {
		return err
	}
	err := s.do(ctx, 4, func(g *group) error {
		g.set([]byte{kindState, 'v'}, sealValue(binary.BigEndian.AppendUint64(nil, uint64(p.next))))
		g.set([]byte{kindState, 'p'}, sealValue(s.prefixes.encode()))
		// Reindex may have begun anew meanwhile; then this batch counts for
		// nothing. It is told with the commit, before those who wait look again.
		from, next := p.from, p.next
		g.shown = append(g.shown, func() { s.indexed.CompareAndSwap(from, next) })
		return nil
	})
	if err != nil {
		return err
	}
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
	parser := stix.NewParser(s.cfg.Limits)
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
		for i := 0; i < h.Objects && h.Content == protocol.StixObjects; i++ {
			if raw := m.Object(i); raw != nil && r.allowed(i) {
				// What does not parse was refused on the way in, or is damaged;
				// reads say so.
				if o, err := parser.Parse(raw); err == nil {
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

// setAll writes entries in as many commits as it takes.
func (s *Store) setAll(ctx context.Context, entries []change) error {
	for part := range slices.Chunk(entries, commitKeys) {
		bytes := 0
		for _, e := range part {
			bytes += len(e.key) + len(e.value) + entryBytes
		}
		err := s.doSized(ctx, len(part), bytes, func(g *group) error {
			for _, e := range part {
				g.set(e.key, e.value)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Unindexed returns when the oldest message was added that lookups do not see
// yet; false where they see everything.
func (s *Store) Unindexed() (time.Time, bool, error) {
	var oldest int64
	err := s.db.scan([]byte{kindMessage}, key8(kindMessage, uint64(s.indexed.Load())+1), false, func(k, _ []byte) bool {
		oldest = int64(lastNumber(k))
		return false
	})
	return time.UnixMicro(oldest).UTC(), oldest > 0, err
}

// WaitIndexed waits until lookups see everything added up to the stamp, which
// they do only while Run runs.
func (s *Store) WaitIndexed(ctx context.Context, added int64) error {
	for {
		watch := s.Watch()
		if s.indexed.Load() >= added {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopped:
			return errClosed
		case <-watch:
		}
	}
}
