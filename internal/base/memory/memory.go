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
)

// TrimWhenIdle looks at the heap now and then until ctx is done.
func TrimWhenIdle(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := look()
		if now.worthIt(last, every) {
			debug.FreeOSMemory()
			_ = releaseProgram() // what it would give is not worth a word if it fails
			now = look()
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

// worthIt decides on two looks that are d apart.
func (h heap) worthIt(before heap, d time.Duration) bool {
	if float64(h.allocated-before.allocated) > busy*d.Seconds() {
		return false
	}
	garbage := uint64(0)
	if h.objects > h.live {
		garbage = h.objects - h.live
	}
	return garbage+h.free > worth
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
