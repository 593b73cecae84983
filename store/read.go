package store

import (
	"container/list"
	"encoding/binary"
	"slices"
	"sync"
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

func (s *Store) unpack(added int64, sealed []byte) (*loaded, error) {
	r, err := decodeRecord(slices.Clone(sealed))
	if err != nil {
		return nil, err
	}
	m, err := s.cfg.Codec.Reopen(r.frame)
	if err != nil {
		return nil, protocol.E(protocol.Conflict, "read the store", err, "run: entente doctor")
	}
	out := &loaded{added, r, m}
	s.cache.put(added, out)
	return out, nil
}

// holder returns the message that has a leaf added at the stamp.
func (s *Store) holder(added int64) (*loaded, error) {
	if m := s.cache.holder(added); m != nil {
		return m, nil
	}
	var out *loaded
	var failed error
	err := s.db.scan([]byte{kindMessage}, key8(kindMessage, uint64(added)), true, func(k, v []byte) bool {
		out, failed = s.unpack(int64(lastNumber(k)), v)
		return false
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	if out == nil || added-out.added >= int64(out.message.Header().Objects) {
		return nil, protocol.Errorf(protocol.NotFound, "read the store", "nothing was added at %d", added)
	}
	return out, nil
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
	if !m.record.allowed(position) {
		return v, false, nil
	}
	raw := m.message.Object(position)
	if raw == nil {
		return v, false, m.message.Load() // damaged, or left out
	}
	o, err := stix.Parse(raw, s.cfg.Limits)
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

// Get returns all stored versions of an object, newest first, one a
// provenance. None is no error.
func (s *Store) Get(id string) ([]Version, error) {
	var stamps []int64
	err := s.db.scan(objectPrefix(id), nil, true, func(k, _ []byte) bool {
		stamps = append(stamps, int64(lastNumber(k)))
		return true
	})
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
				m, failed = s.unpack(added, sealed)
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

// messageCache keeps messages that were read lately, unpacked, within a budget
// of bytes.
type messageCache struct {
	state *cacheState
}

type cacheState struct {
	mu     sync.Mutex
	budget int64
	used   int64
	byAdd  map[int64]*list.Element
	order  *list.List // most recent first; values are *loaded
	last   *loaded    // the one asked for last: objects of one message are read together
}

func newMessageCache(budget int64) messageCache {
	return messageCache{&cacheState{budget: budget, byAdd: map[int64]*list.Element{}, order: list.New()}}
}

func (c messageCache) get(added int64) *loaded {
	s := c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byAdd[added]
	if e == nil {
		return nil
	}
	s.order.MoveToFront(e)
	s.last = e.Value.(*loaded)
	return s.last
}

// holder returns the message asked for last when it holds the stamp.
func (c messageCache) holder(added int64) *loaded {
	s := c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.last; m != nil && added >= m.added && added-m.added < int64(m.message.Header().Objects) {
		return m
	}
	return nil
}

func cost(m *loaded) int64 {
	return int64(len(m.record.frame)+m.message.Header().BodyLength) + 1024
}

func (c messageCache) put(added int64, m *loaded) {
	s := c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = m
	if s.byAdd[added] != nil {
		return
	}
	s.byAdd[added] = s.order.PushFront(m)
	s.used += cost(m)
	for s.used > s.budget && s.order.Len() > 1 {
		e := s.order.Back()
		old := e.Value.(*loaded)
		s.order.Remove(e)
		delete(s.byAdd, old.added)
		s.used -= cost(old)
	}
}
