package policy

import "slices"

// Holding is Close for one reader of a live stream, where targets may arrive
// after what refers to them: it keeps an item until all that it refers to,
// directly or through others, has come, and then lets go of all of them at
// once. It keeps no more than its limit. It is not safe for concurrent use.
type Holding struct {
	limit   int
	size    int // items and references held
	count   int // items held
	round   uint64
	arrival uint64
	outside func(id string) bool
	queue   []*held          // by arrival; those that are out are skipped
	nodes   map[string]*node // of ids that are held, or referred to by what is held
}

// held is one item in a Holding.
type held struct {
	item    ClosureItem
	own     *node
	refs    []*node // without repetition, without itself
	absent  int     // of refs: neither held nor seen
	arrival uint64
	tried   uint64 // the round in which a walk came here
	failed  uint64 // the round in which it was found to lead to an absent one
	out     bool   // released, replaced or evicted
}

// node is what a Holding knows of an id.
type node struct {
	id    string
	held  *held
	seen  bool // the reader sees it
	users map[*held]struct{}
}

func (n *node) good() bool { return n.seen || n.held != nil }

// NewHolding makes a Holding that keeps at most limit items and references
// together. outside reports whether the reader sees an object of that id by what
// came before; it must be true for all that the Holding let go.
func NewHolding(limit int, outside func(id string) bool) *Holding {
	return &Holding{limit: limit, outside: outside, nodes: map[string]*node{}}
}

// Len returns the number of items that are held.
func (h *Holding) Len() int { return h.count }

// Add takes the next item of the stream and returns what the reader sees now
// that it has come, in order of arrival: the item itself, if nothing that it
// refers to is missing, and what waited for it. An item that is not allowed
// changes nothing. A new version of a held id takes the place of the older one.
// evicted are those that were dropped, oldest first, to keep within the limit:
// the reader gets them when it asks again, not from this stream. An item that
// is larger than the limit drops no other.
func (h *Holding) Add(item ClosureItem) (released, evicted []ClosureItem) {
	if !item.Allowed {
		return nil, nil
	}
	if h.nodes[item.ID] == nil && h.seesAll(item) {
		return []ClosureItem{item}, nil
	}
	if 1+len(item.Refs) > h.limit {
		return nil, []ClosureItem{item}
	}
	h.arrival++
	e := &held{item: item, own: h.nodeOf(item.ID), arrival: h.arrival}
	if e.own.held != nil {
		h.remove(e.own.held)
		e.own = h.nodeOf(item.ID)
	}
	h.insert(e)
	if e.absent == 0 {
		released = h.release([]*held{e})
	}
	for h.size > h.limit {
		oldest := h.oldest()
		evicted = append(evicted, oldest.item)
		h.remove(oldest)
	}
	h.compact()
	return released, evicted
}

// Arrived tells the Holding that the reader sees the id now by another way than
// this stream, and returns what waited for it, in order of arrival.
func (h *Holding) Arrived(id string) (released []ClosureItem) {
	n := h.nodes[id]
	if n == nil || n.seen {
		return nil
	}
	was := n.good()
	n.seen = true
	users := make([]*held, 0, len(n.users))
	for u := range n.users {
		if !was {
			u.absent--
		}
		users = append(users, u)
	}
	released = h.release(users)
	h.compact()
	return released
}

// seesAll reports whether nothing that the item refers to is missing, which is
// so for most items and needs no book-keeping.
func (h *Holding) seesAll(item ClosureItem) bool {
	for _, ref := range item.Refs {
		if ref == item.ID {
			continue
		}
		if n := h.nodes[ref]; n != nil && !n.seen || n == nil && !h.outside(ref) {
			return false
		}
	}
	return true
}

// nodeOf returns the node of an id, made where there is none.
func (h *Holding) nodeOf(id string) *node {
	n := h.nodes[id]
	if n == nil {
		n = &node{id: id, seen: h.outside(id), users: map[*held]struct{}{}}
		h.nodes[id] = n
	}
	return n
}

// insert links a new item with what it refers to and with what refers to it.
func (h *Holding) insert(e *held) {
	if !e.own.good() {
		for u := range e.own.users {
			u.absent--
		}
	}
	e.own.held = e
	for _, ref := range e.item.Refs {
		if ref == e.item.ID {
			continue
		}
		n := h.nodeOf(ref)
		if _, twice := n.users[e]; twice {
			continue
		}
		n.users[e] = struct{}{}
		e.refs = append(e.refs, n)
		if !n.good() {
			e.absent++
		}
	}
	h.queue = append(h.queue, e)
	h.count++
	h.size += 1 + len(e.item.Refs)
}

// release lets go of the candidates that lead to nothing absent, with all that
// they lead to, and then of what waited for those.
func (h *Holding) release(candidates []*held) []ClosureItem {
	var gone []*held
	h.round++
	failing := h.round
	for len(candidates) > 0 {
		e := candidates[len(candidates)-1]
		candidates = candidates[:len(candidates)-1]
		if e.out {
			continue
		}
		h.round++
		closed, ok := h.walk(e, failing)
		if !ok {
			continue
		}
		for _, c := range closed {
			c.own.seen = true
			for u := range c.own.users {
				candidates = append(candidates, u)
			}
		}
		for _, c := range closed {
			h.remove(c)
		}
		gone = append(gone, closed...)
	}
	slices.SortFunc(gone, func(a, b *held) int { return int(int64(a.arrival) - int64(b.arrival)) })
	released := make([]ClosureItem, len(gone))
	for i, e := range gone {
		released[i] = e.item
	}
	return released
}

// walk returns what an item leads to, itself included, among the held items. It
// fails when one of them refers to what is absent, and marks the path to that
// one, so that no later walk of this release goes down there again.
func (h *Holding) walk(e *held, failing uint64) ([]*held, bool) {
	type step struct {
		e    *held
		next int
	}
	closed := []*held{e}
	path := []step{{e, 0}}
	e.tried = h.round
	for len(path) > 0 {
		s := &path[len(path)-1]
		if s.e.absent > 0 || s.e.failed == failing {
			for _, p := range path {
				p.e.failed = failing
			}
			return nil, false
		}
		if s.next == len(s.e.refs) {
			path = path[:len(path)-1]
			continue
		}
		n := s.e.refs[s.next]
		s.next++
		if n.seen || n.held.tried == h.round {
			continue
		}
		n.held.tried = h.round
		closed = append(closed, n.held)
		path = append(path, step{n.held, 0})
	}
	return closed, true
}

// remove takes an item out: what refers to it counts it as absent, unless the
// reader sees the id all the same.
func (h *Holding) remove(e *held) {
	e.out = true
	e.own.held = nil
	if !e.own.good() {
		for u := range e.own.users {
			u.absent++
		}
	}
	h.forget(e.own)
	for _, n := range e.refs {
		delete(n.users, e)
		h.forget(n)
	}
	h.count--
	h.size -= 1 + len(e.item.Refs)
}

// forget drops a node that nothing needs.
func (h *Holding) forget(n *node) {
	if n.held == nil && len(n.users) == 0 {
		delete(h.nodes, n.id)
	}
}

// oldest returns the held item that came first. There must be one.
func (h *Holding) oldest() *held {
	for h.queue[0].out {
		h.queue = h.queue[1:]
	}
	return h.queue[0]
}

// compact drops those that are out from the queue when they are the most of it.
func (h *Holding) compact() {
	if len(h.queue) > 2*h.count+16 {
		h.queue = slices.DeleteFunc(h.queue, func(e *held) bool { return e.out })
	}
}
