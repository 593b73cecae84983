//go:build nightly

package node_test

import (
	"testing"
	"testing/synctest"
)

// TestSimulationOf200 is the large run of the second tier; quote its figures by
// its name.
func TestSimulationOf200(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { newSimulation(t, 200).run(10) })
}
