package node

import (
	"context"

	"entente/store"
)

const (
	// tailHeld bounds how many objects a tail remembers because something they
	// refer to has not come; the oldest are forgotten first.
	tailHeld = 20000
	// tailBack is how many objects before the cursor a resumed tail looks at
	// again, to find those that were held when it broke off.
	tailBack = 20000
)

// tail is one follower of a topic. It belongs to its goroutine.
type tail struct {
	node   *Node
	query  store.Query
	yield  func(TailEvent) bool
	cursor int64
	held   []store.Version // allowed but incomplete, oldest first
	more   bool
}

// Tail calls yield with versions of a topic ("" for all) in order of arrival
// until yield returns false or ctx ends. It begins after the cursor that an
// earlier event bore; -1 begins now, 0 with everything held. Whenever it has
// caught up it yields an Idle event.
//
// An object whose references have not all come is held back and yielded when
// they have, so that a cursor may stand beyond it: a resumed tail therefore
// looks back over the last 20,000 objects before its cursor.
func (n *Node) Tail(ctx context.Context, topic string, cursor int64, yield func(TailEvent) bool) error {
	r := n.own()
	q, _, err := r.query(SearchQuery{Topic: topic}, false)
	if err != nil {
		return err
	}
	t := &tail{node: n, query: q, yield: yield, cursor: cursor, more: true}
	switch {
	case cursor < 0:
		t.cursor = n.cfg.Store.Stats().LastAdded
	case cursor > 0:
		if err := t.lookBack(); err != nil {
			return err
		}
	}
	watch := n.cfg.Store.Watch()
	shown := 0
	for {
		count, err := t.round(ctx)
		if err != nil || !t.more {
			return err
		}
		if count > 0 || shown == 0 {
			shown++
			if !t.yield(TailEvent{Cursor: t.cursor, Idle: true}) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch:
			watch = n.cfg.Store.Watch()
		}
	}
}

// lookBack finds objects before the cursor that were incomplete at the cursor:
// something that they refer to came later.
func (t *tail) lookBack() error {
	r := t.node.own()
	q := t.query
	q.Before, q.Reverse = t.cursor+1, true
	var back []store.Version
	looked := 0
	err := t.node.cfg.Store.Scan(q, func(v store.Version) bool {
		looked++
		if s, ok := r.may(v); ok {
			for _, ref := range r.world.references(s.object) {
				if t.cameLater(r, ref) {
					back = append(back, v)
					break
				}
			}
		}
		return looked < tailBack
	})
	for i := len(back) - 1; i >= 0; i-- {
		t.held = append(t.held, back[i])
	}
	return err
}

func (t *tail) cameLater(r *reading, id string) bool {
	versions, err := r.versions(id)
	if err != nil {
		return true
	}
	for _, s := range versions {
		if s.version.Added <= t.cursor {
			return false
		}
	}
	return true
}

// round shows what has come since the cursor, and what was held and is
// complete now.
func (t *tail) round(ctx context.Context) (int, error) {
	r := t.node.own()
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
			t.more = t.yield(TailEvent{Version: &out[i], Cursor: t.cursor})
		}
		return t.more && ctx.Err() == nil
	}
	// Objects in one scan may refer to later ones of the same scan, so the
	// reading, which sees the whole store, settles them together.
	waiting, came := t.held, 0
	t.held = nil
	err := t.node.cfg.Store.Scan(q, func(v store.Version) bool {
		came++
		t.cursor = v.Added
		return show(v)
	})
	if err == nil {
		err = failed
	}
	if err != nil || came == 0 || !t.more {
		t.held = append(waiting, t.held...)
		return count, err
	}
	for i, v := range waiting {
		if !show(v) {
			t.held = append(t.held, waiting[i+1:]...)
			break
		}
	}
	if failed != nil {
		return count, failed
	}
	if count > 0 {
		r.record("tail", q.Topic)
	}
	return count, err
}
