package e2e

import (
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// Every command of a tutorial on addresses that stick: a pool of ten, a set of
// two that is restarted, grows and shrinks, and what is refused meanwhile.
func stickyAddresses(t *testing.T, c *cluster.Cluster) {
	talk(t, c, "testdata/sticky-addresses.txtar")
}
