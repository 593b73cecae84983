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
// looks back over the last 20,000 objects before its cursor.
func (n *Node) Tail(ctx context.Context, topic string, cursor int64, yield func(TailEvent) bool) error {
	r := n.own(ctx)
	q, _, err := r.query(SearchQuery{Topic: topic}, false)
	if err != nil {
		return err
	}
	t := &tail{node: n, ctx: ctx, query: q, yield: yield, cursor: cursor, more: true}
	switch {
	case cursor < 0:
		t.cursor = n.cfg.Store.Stats().LastAdded
	case cursor > 0:
		if err := t.lookBack(); err != nil {
			return err
		}
	}
	t.safe = t.cursor
	watch := n.cfg.Store.Watch()
	again := time.NewTimer(tailPause)
	defer again.Stop()
	shown := 0
	for {
		count, err := t.round(ctx)
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

// round shows what has come since the cursor, and what was held and is
// complete now.
func (t *tail) round(ctx context.Context) (int, error) {
	r := t.node.own(t.ctx)
	q := t.query
	q.After = t.cursor
	count := 0
	var failed error
	show := func(v store.Version) bool {
		s, ok := r.may(v)
		if !ok {
			return true
		}
		whole, err := r.complete(s)
		if err != nil {
			failed = err
			return false
		}
		if !whole {
			t.held = append(t.held, v)
			if len(t.held) > tailHeld {
				t.held = t.held[1:]
			}
			return true
		}
		out, err := r.show([]seen{s})
		if err != nil {
			failed = err
			return false
		}
		for i := range out {
			count++
			t.more = t.yield(TailEvent{Version: &out[i], Cursor: t.safe})
		}
		return t.more && ctx.Err() == nil
	}
	// Objects in one scan may refer to later ones of the same scan, so the
	// reading, which sees the whole store, settles them together.
	waiting := t.held
	t.held = nil
	came := 0
	err := t.node.cfg.Store.Scan(q, func(v store.Version) bool {
		if came == tailRound {
			return false
		}
		came++
		t.cursor = v.Added
		return show(v)
	})
	t.behind = came == tailRound
	if err == nil {
		err = failed
	}
	// What is waited for may come on any topic. Many that wait are not looked at
	// for every message.
	now := t.node.now()
	wait := len(waiting) > tailFew && now.Sub(t.looked) < tailPause
	t.stale = wait
	if err != nil || wait || !t.more {
		t.held = append(waiting, t.held...)
		return count, err
	}
	t.looked = now
	for i, v := range waiting {
		if !show(v) {
			t.held = append(t.held, waiting[i+1:]...)
			break
		}
	}
	if failed != nil || !t.more {
		return count, failed
	}
	t.safe = t.cursor
	if count > 0 {
		r.record("tail", q.Topic)
	}
	return count, err
}
