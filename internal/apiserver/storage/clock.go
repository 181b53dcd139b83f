package storage

import (
	"time"

	"k8s.io/utils/clock"
)

const (
	// libraryPeriod is how often a watch cache asks etcd for its progress while
	// a reader waits for the cache to be fresh.
	libraryPeriod = 100 * time.Millisecond
	// ownPeriod is what that becomes: etcd is near and readers are few, and a
	// read that has to be consistent should not take a tenth of a second.
	ownPeriod = 5 * time.Millisecond
)

// promptClock is the real clock, but for the timer of that one period, which
// cannot be configured otherwise.
type promptClock struct{ clock.RealClock }

func (c promptClock) NewTimer(d time.Duration) clock.Timer {
	t := c.RealClock.NewTimer(shorten(d))
	if d != libraryPeriod {
		return t
	}
	return promptTimer{t}
}

type promptTimer struct{ clock.Timer }

func (t promptTimer) Reset(d time.Duration) bool { return t.Timer.Reset(shorten(d)) }

func shorten(d time.Duration) time.Duration {
	if d == libraryPeriod {
		return ownPeriod
	}
	return d
}
