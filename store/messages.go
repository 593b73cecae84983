package store

import (
	"context"
	"encoding/binary"
	"errors"
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
	Doubtful bool         // refused by what may change: it is decided about again (Doubtful, Admit)
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
	keys, bytes := entriesOf(leaves, audit)
	err := s.doSized(ctx, keys, bytes, func(g *group) error {
		if s.Behind(log) {
			return protocol.E(protocol.Conflict, "append", errors.New("the store is older than what this node has published in this log"),
				"it was put back from an old copy: the node takes its messages back from peers, or begins a new incarnation")
		}
		l := g.log(log)
		if l.stopped {
			return protocol.E(protocol.Conflict, "append", errors.New("the log was forked and takes nothing more"),
				"the node must begin a new incarnation")
		}
		m, err := seal(l.position)
		if err != nil {
			return err
		}
		if h := m.Header(); h.Log() != log || h.Sequence != l.position.Sequence+1 || h.Previous != l.position.Head {
			return protocol.Errorf(protocol.Invalid, "append", "what was sealed is not the next message of the log")
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
	for _, leaf := range leaves {
		if leaf.Position < 0 || leaf.Position >= h.Objects {
			return 0, protocol.Errorf(protocol.Invalid, "write to the store", "leaf %d of a message of %d objects", leaf.Position, h.Objects)
		}
	}
	now := g.store.cfg.Clock().UnixMicro()
	added := max(now, g.count.LastAdded+1)
	rec := record{log: l.number, frame: m.Frame()}
	allowed := 0
	var doubtful []int
	for _, leaf := range leaves {
		if !leaf.Allowed {
			if leaf.Doubtful {
				doubtful = append(doubtful, leaf.Position)
			}
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
	if len(doubtful) > 0 {
		g.doubt(added, doubtful)
	}
	hash := m.Hash()
	g.set(logKey(l.number, h.Sequence), sealValue(append(stamp[:8:8], hash[:]...)))
	g.staged[place{l.number, h.Sequence}] = m
	g.set(append(topicPrefix(h.Agreement, h.Lane), stamp...), nil)
	if h.Content == protocol.Control {
		g.set(key8(kindControl, uint64(added)), nil)
	}
	g.fed = append(g.fed, fed{added: added, objects: h.Objects, log: l.number, sequence: h.Sequence, leaves: leaves})
	g.count.LastAdded = added + int64(h.Objects) - 1
	g.count.Messages++
	g.count.Objects += uint64(allowed)
	l.position = m.Position()
	return added, g.audit(audit, leaves)
}

// entriesOf returns the most entries, and bytes of them, that a message or rows
// take in a transaction.
func entriesOf(leaves []Leaf, audit []protocol.AuditRow) (keys, bytes int) {
	keys = 9 + 2*len(audit)
	for i := range leaves {
		if leaves[i].Allowed {
			keys++
		}
	}
	for i := range audit {
		keys += len(audit[i].Objects)
		for range refusedBy(audit[i], leaves) {
			keys++
		}
	}
	return keys, keys*smallEntry + len(audit)*(inlineValue+entryBytes)
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
	written := make([]PutResult, len(in)) // by the writer, which goes on when ctx ends
	requests := make([]*request, len(in))
	for i := range in {
		r := &request{done: make(chan struct{}), apply: func(g *group) error { return g.put(in[i], &written[i]) }}
		r.keys, r.bytes = entriesOf(in[i].Leaves, in[i].Audit)
		if err := s.submit(ctx, r); err != nil {
			r.err = err
			close(r.done)
		}
		requests[i] = r
	}
	for i, r := range requests {
		err := s.wait(ctx, r)
		select {
		case <-r.done:
			if out[i] = written[i]; r.err != nil {
				out[i] = PutResult{Err: r.err}
			}
		default:
			out[i].Err = err
		}
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

// holds reports whether the very message is held at its sequence number.
func (g *group) holds(l *logState, m *protocol.Message) (bool, error) {
	sequence := m.Header().Sequence
	if staged := g.staged[place{l.number, sequence}]; staged != nil {
		return staged.Hash() == m.Hash(), nil
	}
	_, hash, err := g.store.entry(l.number, sequence)
	return hash == m.Hash(), err
}

// entry finds a held message by log and sequence.
func (s *Store) entry(log uint32, sequence uint64) (added int64, hash protocol.Hash, err error) {
	sealed, err := s.db.get(logKey(log, sequence))
	if err != nil {
		return 0, hash, err
	}
	return decodeEntry(sealed)
}

func decodeEntry(sealed []byte) (added int64, hash protocol.Hash, err error) {
	b, err := openValue("an entry of a log", sealed)
	if err != nil {
		return 0, hash, err
	}
	if len(b) != 8+len(hash) {
		return 0, hash, protocol.E(protocol.Conflict, "read the store", errors.New("an entry of a log is cut short"), "run: entente doctor")
	}
	copy(hash[:], b[8:])
	return int64(binary.BigEndian.Uint64(b)), hash, nil
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
	g.set(name, sealValue(append(binary.BigEndian.AppendUint32(nil, l.number), 1)))
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
	held := g.staged[place{l.number, sequence}]
	if held == nil {
		added, _, err := g.store.entry(l.number, sequence)
		if err != nil {
			return err
		}
		stored, err := g.store.load(added)
		if err != nil {
			return err
		}
		held = stored.message
	}
	proof(held)
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

// Statements calls yield with the stored messages of statements that were added
// after a stamp, in that order, until yield returns false.
func (s *Store) Statements(after int64, yield func(e Entry) bool) error {
	var failed error
	err := s.db.scan([]byte{kindControl}, key8(kindControl, uint64(after+1)), false, func(k, _ []byte) bool {
		var m *loaded
		if m, failed = s.load(int64(lastNumber(k))); failed != nil {
			return false
		}
		return yield(Entry{Added: m.added, Message: m.message})
	})
	return errors.Join(err, failed)
}

// Message returns the message of a log at a sequence number, with the stamp at which
// it was added; NotFound where it is not held.
func (s *Store) Message(log protocol.LogID, sequence uint64) (Entry, error) {
	s.mu.RLock()
	l := s.logs[log]
	s.mu.RUnlock()
	if l == nil || sequence == 0 || sequence > l.position.Sequence {
		return Entry{}, protocol.Errorf(protocol.NotFound, "read the store", "message %d of a log is not held", sequence)
	}
	added, _, err := s.entry(l.number, sequence)
	if err != nil {
		return Entry{}, err
	}
	m, err := s.load(added)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Added: m.added, Message: m.message}, nil
}

// Log returns the log with the given hash among those of an agreement that are
// held.
func (s *Store) Log(agreement protocol.AgreementID, hash protocol.Hash) (protocol.LogID, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.named[hash]
	if !ok || id.Agreement != agreement {
		return protocol.LogID{}, false
	}
	return id, true
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
		if sequence > to {
			return false
		}
		var added int64
		if added, _, failed = decodeEntry(v); failed != nil {
			return false
		}
		var sealed []byte
		if sealed, failed = s.db.get(key8(kindMessage, uint64(added))); failed != nil {
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
