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

// restLeast is the rest of a Service of a hundred pods and some more.
const restLeast = 10 * time.Millisecond

// restOf is how long two looks at a Service of so many pods keep a distance. A
// look at twice the pods costs twice as much, and while all of them start there
// is twice the time for looks: with the square a burst costs what it costs however
// many pods there are. 300 pods, which are to be found 50 ms after they are Ready,
// rest for 15; from 600 on it is what any workload rests for.
func restOf(pods int) time.Duration {
	return min(loop.Rest(pods, 0), max(restLeast, time.Duration(pods)*time.Duration(pods)*time.Microsecond/6))
}

// rest is how long to leave the Service alone: for a change of one of its pods all
// are looked at, and a slice is written with its hundred endpoints.
func (c *controller) rest(key types.NamespacedName) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.looked[key]
	return max(0, restOf(last.pods)-c.env.Clock.Since(last.ended))
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
