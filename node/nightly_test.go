//go:build nightly

package node_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSimulationOf200 is the large run of the second tier; quote its figures by
// its name.
func TestSimulationOf200(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { newSimulation(t, 200).run(10) })
}

// TestRevocationOf30 is the large run of the expulsion, cut in two for four hours.
func TestRevocationOf30(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { newRevocation(t, 30).run(4 * time.Hour) })
}
