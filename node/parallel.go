package node

import (
	"sync"
	"sync/atomic"
)

// parallelEach calls f(0) … f(count-1) from as many goroutines as the node has
// workers and returns when all calls have. It is for few and heavy calls.
func (n *Node) parallelEach(count int, f func(i int)) {
	workers := min(n.cfg.Workers, count)
	if workers <= 1 {
		for i := range count {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}

// workers calls f once from each of the node's workers and waits for all.
func (n *Node) workers(f func()) {
	var wg sync.WaitGroup
	for range n.cfg.Workers {
		wg.Go(f)
	}
	wg.Wait()
}
