package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"entente/protocol"
)

// request is something to be written. apply adds its changes to the group, or
// returns an error and has added none.
type request struct {
	apply func(g *group) error
	keys  int // most entries that apply adds
	bytes int // most bytes of them that count for a transaction
	err   error
	done  chan struct{}
	alone func() error // called between two groups, instead of apply; nil but for Purge
}

// group is a transaction in the making. It belongs to the writer.
type group struct {
	store   *Store
	changes []change
	bytes   int
	count   counters
	inline  int                          // bytes as a transaction of the backend counts them
	heads   map[protocol.LogID]*logState // as they will be; copies
	fed     []fed                        // messages that the value index need not read again
	staged  map[place]*protocol.Message  // in the group, so not to be found in the backend yet
	shown   []func()                     // called once the group is committed, before anyone is told
}

// place names a message by the number of its log and its sequence.
type place struct {
	log      uint32
	sequence uint64
}

// entryBytes is what an entry takes in a transaction beside key and value.
const entryBytes = 24

func (g *group) set(key, value []byte) {
	g.changes = append(g.changes, change{key: key, value: value})
	g.bytes += len(key) + len(value) + 32
	g.inline += len(key) + entryBytes
	if len(value) < inlineValue {
		g.inline += len(value)
	}
}

func (g *group) delete(key []byte) {
	g.changes = append(g.changes, change{key: key, delete: true})
	g.bytes += len(key) + 32
	g.inline += len(key) + entryBytes
}

// log returns the state of a log as it will be after what is in the group.
func (g *group) log(id protocol.LogID) *logState {
	if l := g.heads[id]; l != nil {
		return l
	}
	known, ok := g.store.logs[id] // the writer alone changes the map
	if !ok {
		return &logState{}
	}
	l := *known
	g.heads[id] = &l
	return &l
}

// begin gives a log its number, with the first message of it.
func (g *group) begin(id protocol.LogID, l *logState) error {
	if l.number != 0 {
		return nil
	}
	name, err := id.AppendBinary([]byte{kindLogs})
	if err != nil {
		return err
	}
	g.count.Logs++
	l.number = g.count.Logs
	g.heads[id] = l
	g.set(name, sealValue(append(binary.BigEndian.AppendUint32(nil, l.number), 0)))
	return nil
}

// do has the writer apply something of up to so many small entries, and waits
// until it is durable. When ctx ends first the write may still happen.
func (s *Store) do(ctx context.Context, keys int, apply func(g *group) error) error {
	return s.doSized(ctx, keys, keys*smallEntry, apply)
}

// smallEntry is more than an entry of an index takes in a transaction.
const smallEntry = 128

func (s *Store) doSized(ctx context.Context, keys, bytes int, apply func(g *group) error) error {
	r := &request{apply: apply, keys: keys, bytes: bytes, done: make(chan struct{})}
	if err := s.submit(ctx, r); err != nil {
		return err
	}
	return s.wait(ctx, r)
}

var errClosed = protocol.E(protocol.Unreachable, "write to the store", errors.New("the store is closed"), "")

// submit hands a request to the writer. The gate keeps Close from closing the
// channel under it; the writer goes on taking until Close has the gate.
func (s *Store) submit(ctx context.Context, r *request) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return errClosed
	}
	select {
	case s.requests <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) wait(ctx context.Context, r *request) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write is the one writer. It takes what waits, up to the bounds of a group,
// and commits it as one.
func (s *Store) write() {
	defer close(s.stopped)
	var next *request // taken, but in no group yet
	for {
		if next == nil {
			var ok bool
			if next, ok = <-s.requests; !ok {
				return
			}
		}
		if next.alone != nil {
			next.err = next.alone()
			close(next.done)
			next = nil
			continue
		}
		g := &group{store: s, count: s.count, heads: map[protocol.LogID]*logState{}, staged: map[place]*protocol.Message{}}
		var members []*request
		for next != nil && next.alone == nil && (len(g.changes) == 0 || g.hasRoom(next)) {
			next.err = s.apply(g, next)
			if next.err != nil {
				close(next.done)
			} else {
				members = append(members, next)
			}
			next = nil
			if len(g.changes) < s.cfg.GroupKeys && g.bytes < s.cfg.GroupBytes {
				select {
				case next = <-s.requests: // nil when closed
				default:
				}
			}
		}
		s.finish(g, members)
	}
}

// hasRoom reports whether a request still fits into the group's transaction,
// beside the counters.
func (g *group) hasRoom(r *request) bool {
	keys, bytes := g.store.db.room()
	return len(g.changes)+r.keys < keys && g.inline+r.bytes+smallEntry < bytes
}

func (s *Store) apply(g *group, r *request) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	if none := (&group{store: s}); !none.hasRoom(r) {
		keys, _ := s.db.room()
		return protocol.E(protocol.Limit, "write to the store",
			fmt.Errorf("%d entries at once; a transaction takes %d", r.keys, keys), "write it in smaller parts, or give the store more memory")
	}
	before := *g
	heads := map[protocol.LogID]logState{}
	for id, l := range g.heads {
		heads[id] = *l
	}
	err := r.apply(g)
	if err != nil {
		// Whatever it had begun to add is taken back.
		g.changes, g.bytes, g.inline, g.count = before.changes, before.bytes, before.inline, before.count
		g.fed, g.shown = before.fed, before.shown
		for id := range g.heads {
			if old, ok := heads[id]; ok {
				*g.heads[id] = old
			} else {
				delete(g.heads, id)
			}
		}
	}
	return err
}

// mayWrite says why nothing may be written now.
func (s *Store) mayWrite() error {
	if p := s.problem.Load(); p != nil {
		return protocol.E(protocol.Full, "write to the store", errors.New("nothing is written any more: "+*p), "stop the node, see to the disk, and start it again")
	}
	if s.cfg.Dir == "" {
		return nil
	}
	if _, _, low := s.room(); low != "" {
		return protocol.E(protocol.Full, "write to the store", errors.New(low), "free space on that disk; the node goes on by itself")
	}
	return nil
}

// finish commits a group, makes it known, and then tells who waits. A crash
// before the commit loses nothing that was acknowledged; a crash after it loses
// only the telling.
func (s *Store) finish(g *group, members []*request) {
	var err error
	if len(g.changes) > 0 {
		g.set([]byte{kindState, 'c'}, g.count.encode())
		if err = s.water.reserve(g); err == nil {
			err = s.db.commit(g.changes)
		}
		if p := s.problem.Load(); err == nil && p != nil {
			// The database logged an error instead of returning it: what it took
			// may not be on the disk.
			err = errors.New(*p)
		}
		if err != nil {
			s.fail(err.Error())
			err = protocol.E(protocol.Full, "write to the store", err, "stop the node, see to the disk, and start it again")
		} else {
			s.publish(g)
		}
	}
	for _, r := range members {
		r.err = err
		close(r.done)
	}
}

func (s *Store) publish(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count = g.count
	for id, l := range g.heads {
		if s.logs[id] == nil {
			s.ids[l.number], s.named[id.Hash()] = id, id
		}
		s.logs[id] = l
	}
	s.feed.push(g.fed)
	for _, f := range g.shown {
		f()
	}
	close(s.watch)
	s.watch = make(chan struct{})
}
