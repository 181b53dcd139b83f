package endpointslice

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/controller/loop"
)

// look is a Service's last one.
type look struct {
	ended time.Time
	pods  int
}

// idle is how much less a look costs that had nothing to write.
const idle = 5

// rest is how long to leave the Service alone: for a change of one of its pods all
// are looked at, and a slice is written with its hundred endpoints.
func (c *controller) rest(key types.NamespacedName) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.looked[key]
	return loop.Rest(last.pods, c.env.Clock.Since(last.ended))
}

func (c *controller) ended(key types.NamespacedName, pods int, wrote bool) {
	if !wrote {
		pods /= idle // so the change that matters does not wait for the one before it that did not
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked[key] = look{c.env.Clock.Now(), pods}
}

func (c *controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.looked, key)
}
