package store

import (
	"context"
	"encoding/binary"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// Leaf is what the store must know of one object of a message to index it.
type Leaf struct {
	Position int // in the message
	ID       string
	Modified time.Time    // zero for objects without versions
	Object   *stix.Object // the leaf as read, to index its values without reading it again; may be nil
	Allowed  bool         // false: refused by policy here; kept in the log, in no index
}

// Entry is a message in the store.
type Entry struct {
	Added   int64 // microseconds; of leaf 0: leaf i has Added+i
	Message *protocol.Message
}

// SealFunc signs the next entry of a log, knowing the position it follows.
type SealFunc func(prev protocol.Position) (*protocol.Message, error)

// Append writes the next entry of a log of this node. seal is called by the
// writer with the log's last position; message, index entries and audit rows
// are one transaction, durable on return. Rows are encoded after seal has been
// called, so seal may fill in what it learns.
//
// A store that is behind what this node has written (Behind) refuses with
// Conflict: a sequence number must never be signed twice.
func (s *Store) Append(ctx context.Context, log protocol.LogID, seal SealFunc, leaves []Leaf, audit []protocol.AuditRow) (Entry, error) {
	var out Entry
	err := s.do(ctx, func(g *group) error {
		if s.Behind(log) {
			return protocol.Errorf(protocol.Conflict, "append", "the store is older than what this node has published in this log")
		}
		l := g.log(log)
		m, err := seal(l.position)
		if err != nil {
			return err
		}
		g.heads[log] = l
		s.water.own(log, l.position.Sequence)
		out = Entry{Message: m}
		out.Added, err = g.add(log, l, m, leaves, audit)
		return err
	})
	return out, err
}

// add puts a message that is next in its log into the group.
func (g *group) add(id protocol.LogID, l *logState, m *protocol.Message, leaves []Leaf, audit []protocol.AuditRow) (int64, error) {
	if err := g.begin(id, l); err != nil {
		return 0, err
	}
	h := m.Header()
	now := g.store.cfg.Clock().UnixMicro()
	added := max(now, g.count.LastAdded+1)
	rec := record{log: l.number, frame: m.Frame()}
	allowed := 0
	for _, leaf := range leaves {
		if !leaf.Allowed {
			if rec.refused == nil {
				rec.refused = make([]byte, (h.Objects+7)/8)
			}
			rec.refused[leaf.Position/8] |= 1 << (leaf.Position % 8)
			continue
		}
		allowed++
		g.set(objectKey(leaf.ID, leaf.Modified, added+int64(leaf.Position)), nil)
	}
	stamp := binary.BigEndian.AppendUint64(nil, uint64(added))
	g.set(key8(kindMessage, uint64(added)), rec.encode())
	g.set(logKey(l.number, h.Sequence), stamp)
	g.set(append(topicPrefix(h.Agreement, h.Lane), stamp...), nil)
	g.fed = append(g.fed, fed{added: added, objects: h.Objects, log: l.number, sequence: h.Sequence, leaves: leaves})
	g.count.LastAdded = added + int64(h.Objects) - 1
	g.count.Messages++
	g.count.Objects += uint64(allowed)
	l.position = m.Position()
	return added, g.audit(audit)
}

// Outcome is what became of a message that Put was given.
type Outcome uint8

// The outcomes of Put.
const (
	Stored    Outcome = iota + 1 // new and next in its log
	Duplicate                    // held already; nothing was written
	Gap                          // ahead of its log; nothing was written
	Fork                         // another message with this sequence is held; both headers are proof now, the log is stopped
	Stopped                      // the log was stopped by a fork earlier
)

// String names the outcome.
func (o Outcome) String() string {
	return [...]string{"", "stored", "duplicate", "gap", "fork", "stopped"}[min(o, Stopped)]
}

// Arrival is one message for PutAll.
type Arrival struct {
	Message *protocol.Message
	Leaves  []Leaf
	Audit   []protocol.AuditRow
}

// PutResult is what became of one Arrival.
type PutResult struct {
	Outcome Outcome
	Entry   Entry
	Err     error
}

// Put is PutAll for one message.
func (s *Store) Put(ctx context.Context, m *protocol.Message, leaves []Leaf, audit []protocol.AuditRow) (Outcome, Entry, error) {
	r := s.PutAll(ctx, []Arrival{{m, leaves, audit}})[0]
	return r.Outcome, r.Entry, r.Err
}

// PutAll writes received messages, in order, each with its index entries and
// audit rows in one transaction, durable on return. A message ahead of its log
// is not written: the caller keeps it until what is missing has come.
func (s *Store) PutAll(ctx context.Context, in []Arrival) []PutResult {
	out := make([]PutResult, len(in))
	requests := make([]*request, len(in))
	for i := range in {
		requests[i] = &request{done: make(chan struct{}), apply: func(g *group) error { return g.put(in[i], &out[i]) }}
		if err := s.submit(ctx, requests[i]); err != nil {
			requests[i].err = err
			close(requests[i].done)
		}
	}
	for i, r := range requests {
		out[i].Err = s.wait(ctx, r)
	}
	return out
}

// put decides what becomes of a received message.
func (g *group) put(a Arrival, out *PutResult) error {
	h := a.Message.Header()
	id := h.Log()
	l := g.log(id)
	out.Entry.Message = a.Message
	switch {
	case l.stopped:
		out.Outcome = Stopped
	case h.Sequence > l.position.Sequence+1:
		out.Outcome = Gap
	case h.Sequence == l.position.Sequence+1:
		if h.Sequence > 1 && h.Previous != l.position.Head {
			// Its predecessor is another than the one held: somebody signed two.
			return g.fork(id, l, a.Message, out)
		}
		out.Outcome = Stored
		var err error
		out.Entry.Added, err = g.add(id, l, a.Message, a.Leaves, a.Audit)
		return err
	case h.Sequence == l.position.Sequence && a.Message.Hash() == l.position.Head:
		out.Outcome = Duplicate
	default:
		same, err := g.holds(l, a.Message)
		if err != nil {
			return err
		}
		if !same {
			return g.fork(id, l, a.Message, out)
		}
		out.Outcome = Duplicate
	}
	return nil
}

// holds reports whether the very message is held at its sequence number. One
// that came earlier in the same group is not on disk yet and counts as held.
func (g *group) holds(l *logState, m *protocol.Message) (bool, error) {
	h := m.Header()
	stamp, err := g.store.db.get(logKey(l.number, h.Sequence))
	if err != nil || len(stamp) != 8 {
		return h.Sequence != l.position.Sequence, err
	}
	held, err := g.store.load(int64(binary.BigEndian.Uint64(stamp)))
	if err != nil {
		return false, err
	}
	return held.message.Hash() == m.Hash(), nil
}

// fork keeps both headers as proof and stops the log.
func (g *group) fork(id protocol.LogID, l *logState, m *protocol.Message, out *PutResult) error {
	out.Outcome = Fork
	l.stopped = true
	g.heads[id] = l
	name, err := id.AppendBinary([]byte{kindLogs})
	if err != nil {
		return err
	}
	g.set(name, append(binary.BigEndian.AppendUint32(nil, l.number), 1))
	proof := func(m *protocol.Message) {
		header, signature := m.SignedHeader()
		hash := m.Hash()
		key := append(logKey(l.number, m.Header().Sequence), hash[:]...)
		key[0] = kindFork
		g.set(key, sealValue(append(append([]byte{}, signature...), header...)))
	}
	proof(m)
	// What is held at the number in dispute: at the message's own, or the one
	// that it does not follow.
	sequence := min(m.Header().Sequence, l.position.Sequence)
	if stamp, err := g.store.db.get(logKey(l.number, sequence)); err == nil && len(stamp) == 8 {
		if held, err := g.store.load(int64(binary.BigEndian.Uint64(stamp))); err == nil {
			proof(held.message)
		}
	}
	return nil
}

// Position returns the last position of a log held without a gap; the zero
// Position for an unknown log.
func (s *Store) Position(log protocol.LogID) protocol.Position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if l := s.logs[log]; l != nil {
		return l.position
	}
	return protocol.Position{}
}

// Forked reports whether a log was stopped because its author forked it.
func (s *Store) Forked(log protocol.LogID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := s.logs[log]
	return l != nil && l.stopped
}

// Logs returns the frontier of an agreement: all its logs that are held.
func (s *Store) Logs(agreement protocol.AgreementID) protocol.Frontier {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out protocol.Frontier
	for id, l := range s.logs {
		if id.Agreement == agreement && l.position.Sequence > 0 {
			out = append(out, protocol.FrontierEntry{Log: id, Base: 1, Position: l.position})
		}
	}
	out.Sort()
	return out
}

// Range calls yield with the stored frames of a log after from up to to, in
// order, until yield returns false.
func (s *Store) Range(log protocol.LogID, from, to uint64, yield func(sequence uint64, frame []byte) bool) error {
	s.mu.RLock()
	l := s.logs[log]
	s.mu.RUnlock()
	if l == nil {
		return nil
	}
	var failed error
	prefix := logKey(l.number, 0)[:5]
	err := s.db.scan(prefix, logKey(l.number, from+1), false, func(k, v []byte) bool {
		sequence := lastNumber(k)
		if sequence > to || len(v) != 8 {
			return false
		}
		var sealed []byte
		if sealed, failed = s.db.get(key8(kindMessage, binary.BigEndian.Uint64(v))); failed != nil {
			return false
		}
		var r record
		if r, failed = decodeRecord(sealed); failed != nil {
			return false
		}
		return yield(sequence, r.frame)
	})
	if failed != nil {
		return failed
	}
	return err
}
