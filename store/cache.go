package store

import (
	"container/list"
	"slices"
	"sync"
)

// messageCache keeps messages that were read lately, unpacked, within a budget
// of bytes.
type messageCache struct {
	mu     sync.Mutex
	budget int64
	used   int64
	byAdd  map[int64]*list.Element
	order  *list.List     // most recent first; values are *loaded
	barred map[int64]bool // stamps of messages that have changed since they were written
	starts []int64        // the stamps of byAdd, rising: objects are asked for by theirs, which lie between
}

func newMessageCache(budget int64) *messageCache {
	return &messageCache{budget: budget, byAdd: map[int64]*list.Element{}, barred: map[int64]bool{}, order: list.New()}
}

// get returns the message that was added at exactly the stamp, or nil.
func (c *messageCache) get(added int64) *loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.touch(added)
}

func (c *messageCache) touch(added int64) *loaded {
	e := c.byAdd[added]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*loaded)
}

// holder returns the message that has a leaf added at the stamp, or nil.
func (c *messageCache) holder(added int64) *loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, exact := slices.BinarySearch(c.starts, added)
	if !exact {
		at--
	}
	if at < 0 || !c.byAdd[c.starts[at]].Value.(*loaded).has(added) {
		return nil
	}
	return c.touch(c.starts[at])
}

// cost is what a message takes: its frame, its objects once they are asked for,
// and where they lie.
func cost(m *loaded) int64 {
	h := m.message.Header()
	return int64(len(m.record.frame)+h.BodyLength+8*h.Objects) + 1024
}

func (c *messageCache) put(m *loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byAdd[m.added] != nil || c.barred[m.added] {
		return
	}
	c.byAdd[m.added] = c.order.PushFront(m)
	at, _ := slices.BinarySearch(c.starts, m.added)
	c.starts = slices.Insert(c.starts, at, m.added)
	c.used += cost(m)
	for c.used > c.budget && c.order.Len() > 1 {
		e := c.order.Back()
		old := e.Value.(*loaded)
		c.order.Remove(e)
		delete(c.byAdd, old.added)
		at, _ := slices.BinarySearch(c.starts, old.added)
		c.starts = slices.Delete(c.starts, at, at+1)
		c.used -= cost(old)
	}
}
