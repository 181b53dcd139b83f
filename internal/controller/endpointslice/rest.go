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

// rest is how long to leave the Service alone: for a change of one of its pods all
// are looked at, and a slice is written with its hundred endpoints.
func (c *controller) rest(key types.NamespacedName) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.looked[key]
	return loop.Rest(last.pods, c.env.Clock.Since(last.ended))
}

func (c *controller) ended(key types.NamespacedName, pods int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked[key] = look{c.env.Clock.Now(), pods}
}

func (c *controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.looked, key)
}
