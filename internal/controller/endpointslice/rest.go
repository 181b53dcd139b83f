package endpointslice

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// All pods of a Service are looked at, and a slice is written with its hundred
// endpoints, for a change of one. From manyPods on, two looks keep a distance.
const (
	manyPods   = 100
	restPerPod = 50 * time.Microsecond
	restMost   = 50 * time.Millisecond
)

// look is a Service's last one.
type look struct {
	ended time.Time
	pods  int
}

// rest is how long to leave the Service alone.
func (c *controller) rest(key types.NamespacedName) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.looked[key]
	if last.pods < manyPods {
		return 0
	}
	return max(0, min(time.Duration(last.pods)*restPerPod, restMost)-c.env.Clock.Since(last.ended))
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
