package memory

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"golang.org/x/sys/unix"
)

const (
	// roomMost is what the heap may always grow to before it is collected.
	// Twice a small heap is soon allocated again: under load, a server that
	// holds 40 MB would spend a fifth of its time on collecting, and one that
	// holds 120 MB, with a thousand pods, still an eighth if this were 256 MB.
	roomMost = 512 << 20
	// share is how much of the machine's memory that may be at most, 1/share.
	share = 16
	// usual is the collector's own percentage, and most ours at most.
	usual, most = 100, 600
)

// Pace lets a small heap grow beyond twice what is live before it is
// collected, until ctx is done. What that leaves behind, TrimWhenIdle gives
// back. It returns at once, and has nothing to do but after a collection.
func Pace(ctx context.Context) {
	p := pacer{room: room(machine()), percent: usual}
	p.collected(ctx)
}

type pacer struct {
	room    uint64
	percent int
}

// collected is called when a collection has ended, and sees to it that it is
// called after the next one.
func (p *pacer) collected(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if percent := percentage(live[0].Value.Uint64(), p.room); percent != p.percent {
		debug.SetGCPercent(percent)
		p.percent = percent
	}
	// Nothing refers to it, so the next collection finds it.
	type sentinel struct {
		_ *sentinel
		_ [2]uint64
	}
	runtime.AddCleanup(new(sentinel), p.collected, ctx)
}

// percentage lets a heap of which live bytes are live grow to room, in steps:
// a change stops the program for a moment.
func percentage(live, room uint64) int {
	if live == 0 || 2*live >= room {
		return usual
	}
	percent := (room - live) * 100 / live
	return int(min(max(percent/20*20, usual), most))
}

// room for the heap on a machine with so much memory.
func room(machine uint64) uint64 { return min(machine/share, roomMost) }

// machine is its memory in bytes, 0 if unknown.
func machine() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
