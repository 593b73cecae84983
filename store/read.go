package store

import (
	"encoding/binary"
	"slices"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// loaded is a message read back, with its place.
type loaded struct {
	added   int64
	record  record
	message *protocol.Message
}

// load reads the message that was added at exactly the stamp.
func (s *Store) load(added int64) (*loaded, error) {
	if m := s.cache.get(added); m != nil {
		return m, nil
	}
	sealed, err := s.db.get(key8(kindMessage, uint64(added)))
	if err != nil || sealed == nil {
		return nil, protocol.E(protocol.NotFound, "read the store", err, "")
	}
	return s.unpack(added, sealed)
}

// unpack opens a message as stored, keeps it among those read lately, and keeps
// hold of the bytes.
func (s *Store) unpack(added int64, sealed []byte) (*loaded, error) {
	r, err := decodeRecord(sealed)
	if err != nil {
		return nil, err
	}
	m, err := s.cfg.Codec.Reopen(r.frame)
	if err != nil {
		return nil, protocol.E(protocol.Conflict, "read the store", err, "run: entente doctor")
	}
	out := &loaded{added, r, m}
	s.cache.put(out)
	return out, nil
}

// holder returns the message that has a leaf added at the stamp.
func (s *Store) holder(added int64) (*loaded, error) {
	if m := s.cache.holder(added); m != nil {
		return m, nil
	}
	k, sealed, err := s.db.last([]byte{kindMessage}, key8(kindMessage, uint64(added)))
	if err != nil {
		return nil, err
	}
	if k != nil {
		m, err := s.unpack(int64(lastNumber(k)), sealed)
		if err != nil {
			return nil, err
		}
		if m.has(added) {
			return m, nil
		}
	}
	return nil, protocol.Errorf(protocol.NotFound, "read the store", "nothing was added at %d", added)
}

// has reports whether a leaf of the message was added at the stamp.
func (m *loaded) has(added int64) bool {
	return added >= m.added && added-m.added < int64(m.message.Header().Objects)
}

// Version is one stored version of an object, with one arrival of it.
type Version struct {
	ID               string
	Modified         time.Time
	Raw              []byte
	Object           *stix.Object // Raw, read; the caller's alone
	Added            int64        // unique, of this leaf
	Log              protocol.LogID
	Sequence         uint64
	Position         int // leaf
	AgreementVersion uint64
	Time             time.Time // of the header
}

// version reads one leaf of a message; ok is false where it was erased or is
// not allowed here.
func (s *Store) version(m *loaded, position int) (v Version, ok bool, err error) {
	return m.version(stix.NewParser(s.cfg.Limits), position)
}

func (m *loaded) version(parser *stix.Parser, position int) (v Version, ok bool, err error) {
	if m.message.Header().Content != protocol.StixObjects || !m.record.allowed(position) {
		return v, false, nil
	}
	raw := m.message.Object(position)
	if raw == nil {
		return v, false, m.message.Load() // damaged, or left out
	}
	o, err := parser.Parse(raw)
	if err != nil {
		return v, false, protocol.E(protocol.Conflict, "read the store", err, "run: entente doctor")
	}
	h := m.message.Header()
	return Version{
		ID: o.ID, Modified: o.Modified, Raw: raw, Object: o, Added: m.added + int64(position), Log: h.Log(), Sequence: h.Sequence,
		Position: position, AgreementVersion: h.AgreementVersion, Time: h.Time,
	}, true, nil
}

// At returns the version whose leaf was added at the stamp.
func (s *Store) At(added int64) (Version, error) {
	m, err := s.holder(added)
	if err != nil {
		return Version{}, err
	}
	v, ok, err := s.version(m, int(added-m.added))
	if err == nil && !ok {
		err = protocol.Errorf(protocol.NotFound, "read the store", "nothing is left of what was added at %d", added)
	}
	return v, err
}

// Arrivals returns the stamps of all stored versions of an object, in the order
// of Get, without reading them. Stamps of another object whose id has the same
// hash, which takes 2^64 attempts to make, may be among them.
func (s *Store) Arrivals(id string) ([]int64, error) {
	var stamps []int64
	err := s.db.scan(objectPrefix(id), nil, true, func(k, _ []byte) bool {
		stamps = append(stamps, int64(lastNumber(k)))
		return true
	})
	return stamps, err
}

// Get returns all stored versions of an object, newest first, one a
// provenance. None is no error.
func (s *Store) Get(id string) ([]Version, error) {
	stamps, err := s.Arrivals(id)
	if err != nil {
		return nil, err
	}
	out := make([]Version, 0, len(stamps))
	for _, at := range stamps {
		m, err := s.holder(at)
		if err != nil {
			return nil, err
		}
		v, ok, err := s.version(m, int(at-m.added))
		if err != nil {
			return nil, err
		}
		if ok && v.ID == id { // 128 bits of a hash, but hostile peers choose ids
			out = append(out, v)
		}
	}
	return out, nil
}

// Has reports for which of the ids at least one version is held.
func (s *Store) Has(ids []string) ([]bool, error) {
	prefixes := make([][]byte, len(ids))
	for i, id := range ids {
		prefixes[i] = objectPrefix(id)
	}
	return s.db.exist(prefixes)
}

// Query selects versions; zero fields do not restrict.
type Query struct {
	Agreement protocol.AgreementID
	Topic     string // with Agreement
	Types     []string
	After     int64     // added stamp, exclusive
	Before    int64     // added stamp, exclusive
	Since     time.Time // modified, inclusive
	Until     time.Time // modified, exclusive
	Reverse   bool      // newest first
}

func (q Query) takes(v Version) bool {
	return (q.After == 0 || v.Added > q.After) && (q.Before == 0 || v.Added < q.Before) &&
		(len(q.Types) == 0 || slices.Contains(q.Types, v.Object.Type)) &&
		(q.Since.IsZero() || !v.Modified.Before(q.Since)) && (q.Until.IsZero() || v.Modified.Before(q.Until)) &&
		(q.Agreement.IsZero() || v.Log.Agreement == q.Agreement) && (q.Topic == "" || v.Log.Lane.Topic == q.Topic)
}

// Scan calls yield with matching versions in order of their added stamps until
// yield returns false. It reads a snapshot and never blocks the writer.
func (s *Store) Scan(q Query, yield func(Version) bool) error {
	prefix := []byte{kindMessage}
	if q.Topic != "" && !q.Agreement.IsZero() {
		prefix = topicPrefix(q.Agreement, protocol.TopicLane(q.Topic))
	}
	var from []byte
	switch {
	case q.Reverse && q.Before > 0:
		from = binary.BigEndian.AppendUint64(slices.Clone(prefix), uint64(q.Before))
	case !q.Reverse && q.After > 0:
		// The message that holds the stamp may have leaves beyond it.
		from = binary.BigEndian.AppendUint64(slices.Clone(prefix), uint64(max(0, q.After-int64(s.cfg.Codec.Limits().Objects))))
	}
	var failed error
	more := true
	err := s.db.scan(prefix, from, q.Reverse, func(k, sealed []byte) bool {
		added := int64(lastNumber(k))
		var m *loaded
		if prefix[0] == kindMessage {
			if m = s.cache.get(added); m == nil {
				m, failed = s.unpack(added, slices.Clone(sealed))
			}
		} else {
			m, failed = s.load(added)
		}
		if failed != nil {
			return false
		}
		if last := added + int64(m.message.Header().Objects) - 1; q.After > 0 && last <= q.After {
			return !q.Reverse // older messages are older still
		}
		more, failed = s.scanMessage(q, m, yield)
		return more && failed == nil && (q.Before == 0 || q.Reverse || added < q.Before)
	})
	if failed != nil {
		return failed
	}
	return err
}

func (s *Store) scanMessage(q Query, m *loaded, yield func(Version) bool) (more bool, err error) {
	count := m.message.Header().Objects
	for n := range count {
		i := n
		if q.Reverse {
			i = count - 1 - n
		}
		v, ok, err := s.version(m, i)
		if err != nil {
			return false, err
		}
		if ok && q.takes(v) && !yield(v) {
			return false, nil
		}
	}
	return true, nil
}
