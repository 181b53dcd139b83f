// Package memory gives memory back to the system while the program is idle.
// Go's collector lets the heap grow to twice what is live before it runs, and
// a quiet program may take minutes to get there; on a small machine that
// garbage is better left to pods, and so are the parts of the program that only
// its start needed. While there is work it does nothing.
package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// every is how often the heap is looked at; a look costs microseconds.
	every = 10 * time.Second
	// busy is the rate of allocation, in bytes a second, above which the
	// program has better things to do.
	busy = 2 << 20
	// worth is how many bytes there must be to gain: a collection of our heap
	// costs some 50 ms of CPU, and an idle server takes two minutes for as much.
	worth = 8 << 20
	// calm is after how many idle looks in a row the program's own pages are
	// given back: until then a start or a burst of work may go on.
	calm = 3
)

// TrimWhenIdle looks at the heap now and then until ctx is done.
func TrimWhenIdle(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	idle, last := 0, look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := look()
		if now.busy(last, every) {
			idle = 0
		} else {
			idle++
			trimmed := now.garbage() > worth
			if trimmed {
				debug.FreeOSMemory()
				now = look()
			}
			if idle == calm || trimmed && idle > calm { // a collection reads much of the program
				_ = releaseProgram() // what it would give is not worth a word if it fails
			}
		}
		last = now
	}
}

// heap is a look at the heap, in bytes.
type heap struct {
	allocated uint64 // since the start of the program
	objects   uint64 // live or not yet collected
	live      uint64 // found live by the last collection
	free      uint64 // held, but unused
}

// busy says whether there was work since a look that was d before.
func (h heap) busy(before heap, d time.Duration) bool {
	return float64(h.allocated-before.allocated) > busy*d.Seconds()
}

// garbage is what a collection would give back.
func (h heap) garbage() uint64 {
	if h.objects > h.live {
		return h.objects - h.live + h.free
	}
	return h.free
}

func look() heap {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64()}
}
