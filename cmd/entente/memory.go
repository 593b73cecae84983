package main

import (
	"os"
	"runtime/debug"
)

// Beside the store's caches a node that takes much in at once holds groups of
// messages, their parsed objects and the libraries' buffers.
const workingMiB = 256

// boundMemory has the garbage collector come more often as the memory that nodes
// are given runs out. A GOMEMLIMIT in the environment has precedence. (To let it
// come less often than usual while there is plenty was measured to gain nothing.)
func boundMemory(cachesMiB, nodes int) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(nodes*(cachesMiB+workingMiB)) << 20)
	}
}
