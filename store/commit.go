package store

import (
	"context"
	"encoding/binary"
	"errors"

	"entente/protocol"
)

// request is something to be written. apply adds its changes to the group, or
// returns an error and has added none.
type request struct {
	apply func(g *group) error
	err   error
	done  chan struct{}
}

// group is a transaction in the making. It belongs to the writer.
type group struct {
	store   *Store
	changes []change
	bytes   int
	count   counters
	heads   map[protocol.LogID]*logState // as they will be; copies
	fed     []fed                        // messages that the value index need not read again
}

func (g *group) set(key, value []byte) {
	g.changes = append(g.changes, change{key: key, value: value})
	g.bytes += len(key) + len(value) + 32
}

func (g *group) delete(key []byte) {
	g.changes = append(g.changes, change{key: key, delete: true})
	g.bytes += len(key) + 32
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
	g.set(name, append(binary.BigEndian.AppendUint32(nil, l.number), 0))
	return nil
}

// do has the writer apply something and waits until it is durable. When ctx ends
// first the write may still happen.
func (s *Store) do(ctx context.Context, apply func(g *group) error) error {
	r := &request{apply: apply, done: make(chan struct{})}
	if err := s.submit(ctx, r); err != nil {
		return err
	}
	return s.wait(ctx, r)
}

var errClosed = protocol.E(protocol.Unreachable, "write to the store", errors.New("the store is closed"), "")

func (s *Store) submit(ctx context.Context, r *request) (err error) {
	defer func() {
		if recover() != nil { // the channel was closed by Close
			err = errClosed
		}
	}()
	select {
	case s.requests <- r:
		return nil
	case <-s.stopped:
		return errClosed
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
	for first := range s.requests {
		g := &group{store: s, count: s.count, heads: map[protocol.LogID]*logState{}}
		var members []*request
		next := first
		for next != nil {
			next.err = s.apply(g, next)
			if next.err != nil {
				close(next.done)
			} else {
				members = append(members, next)
			}
			next = nil
			if len(g.changes) < s.cfg.GroupKeys && g.bytes < s.cfg.GroupBytes {
				select {
				case r, ok := <-s.requests:
					if ok {
						next = r
					}
				default:
				}
			}
		}
		s.finish(g, members)
	}
}

func (s *Store) apply(g *group, r *request) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	before := *g
	heads := map[protocol.LogID]logState{}
	for id, l := range g.heads {
		heads[id] = *l
	}
	err := r.apply(g)
	if err != nil {
		// Whatever it had begun to add is taken back.
		g.changes, g.bytes, g.count, g.fed = before.changes, before.bytes, before.count, before.fed
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
		s.logs[id] = l
		s.ids[l.number] = id
	}
	s.feed.push(g.fed)
	close(s.watch)
	s.watch = make(chan struct{})
}
