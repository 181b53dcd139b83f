package sim

import "time"

// Clock is virtual time: it moves when the simulator says so.
type Clock struct{ now time.Time }

func newClock() *Clock { return &Clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

// Now implements clock.PassiveClock.
func (c *Clock) Now() time.Time { return c.now }

// Since implements clock.PassiveClock.
func (c *Clock) Since(t time.Time) time.Duration { return c.now.Sub(t) }

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
