package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"entente/store"
)

const (
	// tailHeld bounds how many objects a tail remembers because something they
	// refer to has not come; the oldest are forgotten first.
	tailHeld = 20000
	// tailBack is how many objects before the cursor a resumed tail looks at
	// again, to find those that were held when it broke off.
	tailBack = 20000
	// tailFew is how many held objects are looked at whenever something comes;
	// more are looked at once in a tailPause.
	tailFew   = 200
	tailPause = time.Second
	// tailRound is how many objects come between two Idle events at the most.
	tailRound = 1000
)

// tail is one follower of a topic. It belongs to its goroutine.
type tail struct {
	node   *Node
	ctx    context.Context // of the one call that the tail lives for
	query  store.Query
	yield  func(TailEvent) bool
	cursor int64           // what was scanned
	late   int64           // what was let in later than it came, and looked at, by the stamp of that
	last   map[int64]bool  // stamps of what the last round scanned
	safe   int64           // the cursor that events bear: everything due up to it was yielded
	held   []store.Version // allowed but incomplete, oldest first
	looked time.Time       // when the held ones were last looked at
	stale  bool            // they were not, after something came
	behind bool            // the last round left something for the next
	more   bool
}

// Tail calls yield with versions of a topic ("" for all) in order of arrival
// until yield returns false or ctx ends. It begins after the cursor that an
// earlier event bore; -1 begins now, 0 with everything held. Whenever it has
// yielded what had come it yields an Idle event, which moves the cursor: who
// resumes loses nothing, and gets again what came after the last Idle.
//
// An object whose references have not all come is held back and yielded when
// they have, so that a cursor may stand beyond it: a resumed tail therefore
// looks back over the last 20,000 objects before its cursor. One that was refused
// when it came, and let in later, is yielded then.
func (n *Node) Tail(ctx context.Context, topic string, cursor int64, yield func(TailEvent) bool) error {
	r := n.own(ctx)
	q, _, err := r.query(SearchQuery{Topic: topic}, false)
	if err != nil {
		return err
	}
	t := &tail{node: n, ctx: ctx, query: q, yield: yield, cursor: cursor, more: true, last: map[int64]bool{}}
	switch {
	case cursor < 0:
		t.cursor = n.cfg.Store.Stats().LastAdded
	case cursor > 0:
		if err := t.lookBack(); err != nil {
			return err
		}
	}
	t.safe, t.late = t.cursor, t.cursor
	watch := n.cfg.Store.Watch()
	again := time.NewTimer(tailPause)
	defer again.Stop()
	shown := 0
	for {
		count, err := t.round()
		if err != nil || !t.more {
			return err
		}
		if count > 0 || shown == 0 {
			shown++
			if !t.yield(TailEvent{Cursor: t.safe, Idle: true}) {
				return nil
			}
		}
		if t.behind {
			continue
		}
		again.Stop()
		if t.stale {
			again.Reset(tailPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		case <-watch:
			watch = n.cfg.Store.Watch()
		}
	}
}

// lookBack finds objects before the cursor that were incomplete then: something
// that they refer to, or that what they refer to refers to, came later or has
// not come.
func (t *tail) lookBack() error {
	r := t.node.own(t.ctx)
	r.until = t.cursor
	q := t.query
	q.Before, q.Reverse = t.cursor+1, true
	var back []store.Version
	looked := 0
	var failed error
	err := t.node.cfg.Store.Scan(q, func(v store.Version) bool {
		looked++
		if s, ok := r.may(v); ok {
			var whole bool
			if whole, failed = r.complete(s); !whole {
				back = append(back, v)
			}
		}
		return failed == nil && looked < tailBack
	})
	slices.Reverse(back)
	t.held, t.stale = back, len(back) > 0
	return errors.Join(err, failed)
}

// round is one look of a tail at the store, under one reading.
type round struct {
	*tail
	reading *reading
	count   int // versions that were shown
	failed  error
}

// show yields a version that the reader may have, or holds it back while it is
// incomplete; false ends the round.
func (r *round) show(v store.Version) bool {
	s, ok := r.reading.may(v)
	if !ok {
		return true
	}
	var whole bool
	if whole, r.failed = r.reading.complete(s); r.failed != nil {
		return false
	}
	if !whole {
		r.held = append(r.held, v)
		if len(r.held) > tailHeld {
			r.held = r.held[1:]
		}
		return true
	}
	var out []Version
	if out, r.failed = r.reading.showOne(s); r.failed != nil {
		return false
	}
	for i := range out {
		r.count++
		r.more = r.yield(TailEvent{Version: &out[i], Cursor: r.safe})
	}
	return r.more && r.ctx.Err() == nil
}

// round shows what has come since the cursor, and what was held and is
// complete now.
func (t *tail) round() (int, error) {
	r := &round{tail: t, reading: t.node.own(t.ctx)}
	// Objects in one scan may refer to later ones of the same scan, so the
	// reading, which sees the whole store, settles them together.
	waiting := t.held
	t.held = nil
	err := r.fresh()
	// What is waited for may come on any topic. Many that wait are not looked at
	// for every message.
	now := t.node.now()
	wait := len(waiting) > tailFew && now.Sub(t.looked) < tailPause
	t.stale = wait
	if err != nil || wait || !t.more {
		t.held = append(waiting, t.held...)
		return r.count, err
	}
	t.looked = now
	for i, v := range waiting {
		if !r.show(v) {
			t.held = append(t.held, waiting[i+1:]...)
			break
		}
	}
	if r.failed != nil || !t.more {
		return r.count, r.failed
	}
	t.safe = t.cursor
	if r.count > 0 {
		r.reading.record("tail", t.query.Topic)
	}
	return r.count, nil
}

// fresh shows what has come since the cursor, and before that, of what lies before
// the cursor, what was let in later than it came.
func (r *round) fresh() error {
	q := r.query
	q.After = r.late
	err := r.node.cfg.Store.Admitted(q, func(v store.Version, stamp int64) bool {
		r.late = stamp
		return v.Added > r.cursor || r.last[v.Added] || r.show(v)
	})
	if err != nil || r.failed != nil || !r.more {
		return errors.Join(err, r.failed)
	}
	late := r.late
	q.After = r.cursor
	came := 0
	clear(r.last)
	err = r.node.cfg.Store.Scan(q, func(v store.Version) bool {
		if came == tailRound {
			return false
		}
		came++
		r.cursor, r.last[v.Added] = v.Added, true
		return r.show(v)
	})
	if err = errors.Join(err, r.failed); err != nil {
		return err
	}
	if r.behind = came == tailRound; !r.behind && r.more {
		r.cursor = max(r.cursor, late) // what was added before that has been scanned
	}
	return nil
}
