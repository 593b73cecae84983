package store

import (
	"encoding/binary"
	"errors"
	"slices"

	"entente/protocol"
	"entente/protocol/stix"
)

// Parcel is one stored message that is not opened yet. Opening is most of the
// work of reading, and parcels may be opened by several goroutines at once.
type Parcel struct {
	store  *Store
	query  Query
	added  int64
	sealed []byte
}

// Sweep calls yield with every message that may hold what a query selects, in
// order of their added stamps, until yield returns false. It is Scan for those
// who read very much: it opens nothing, and leaves the cache of messages to those
// who read little. It reads a snapshot and never blocks the writer. Queries in
// reverse are Invalid.
func (s *Store) Sweep(q Query, yield func(Parcel) bool) error {
	if q.Reverse {
		return protocol.E(protocol.Invalid, "sweep the store", errors.New("a sweep goes in the order of arrival"), "use Scan")
	}
	prefix := []byte{kindMessage}
	var from []byte
	if q.After > 0 {
		// The message that holds the stamp may have leaves beyond it.
		from = binary.BigEndian.AppendUint64(slices.Clone(prefix), uint64(max(0, q.After-int64(s.cfg.Codec.Limits().Objects))))
	}
	return s.db.scan(prefix, from, false, func(k, sealed []byte) bool {
		added := int64(lastNumber(k))
		if q.Before > 0 && added >= q.Before {
			return false
		}
		return yield(Parcel{s, q, added, slices.Clone(sealed)})
	})
}

// Versions opens the message and calls yield with those of its objects that the
// query of the sweep selects, in their order, until yield returns false.
func (p Parcel) Versions(yield func(Version) bool) error {
	r, err := decodeRecord(p.sealed)
	if err != nil {
		return err
	}
	m, err := p.store.cfg.Codec.Reopen(r.frame)
	if err != nil {
		return protocol.E(protocol.Conflict, "read the store", err, "run: entente doctor")
	}
	h := m.Header()
	if (!p.query.Agreement.IsZero() && h.Agreement != p.query.Agreement) || (p.query.Topic != "" && h.Lane.Topic != p.query.Topic) {
		return nil // not even unpacked
	}
	whole, parser := &loaded{p.added, r, m}, stix.NewParser(p.store.cfg.Limits)
	for i := range h.Objects {
		v, ok, err := whole.version(parser, i)
		if err != nil {
			return err
		}
		if ok && p.query.takes(v) && !yield(v) {
			return nil
		}
	}
	return nil
}
