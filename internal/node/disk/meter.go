package disk

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// fresh is how long a figure is good for, at least; one that took long to
	// measure is good for dear times as long.
	fresh = 10 * time.Second
	dear  = 20
	// patience is how long somebody who asks waits for a figure; after that the
	// former one has to do.
	patience = 2 * time.Second
	// longest is how long counting a folder may take.
	longest = 5 * time.Minute
	// kept is how long a figure that nobody asks for is kept.
	kept = 10 * time.Minute
	// atOnce is how many folders are counted at once.
	atOnce = 4
)

// Folder is something to measure.
type Folder struct {
	Path string
	// Count says to count what is below the path; else what its file system
	// has used is what is used.
	Count bool
	// Driven says to ask the storage driver whose volume it is.
	Driven bool
}

// Use is what was measured of a folder.
type Use struct {
	Time  time.Time
	Space       // of the file system that it lies on
	Taken Taken // what it takes itself, or all that is used of its file system
}

// Meter measures folders for those who ask. Nothing is measured while nobody
// does, the same thing never twice at once, and nobody waits long: a mount
// whose server does not answer has the figures that it had before, or none.
type Meter struct {
	// Ask asks the driver of a volume that is Driven.
	Ask   func(ctx context.Context, path string) (Space, error)
	clock clock.Clock
	// space and count are replaced by tests.
	space    func(string) (Space, error)
	count    func(context.Context, string) Taken
	wait     time.Duration
	counting chan struct{} // holds one for each folder that is being counted

	mu    sync.Mutex
	known map[Folder]*figure
}

type figure struct {
	use   Use
	ok    bool
	until time.Time     // the figure is good until then
	asked time.Time     // when it was last asked for
	going chan struct{} // closed when the measuring under way ends; nil for none
}

// NewMeter makes a meter.
func NewMeter(c clock.Clock) *Meter {
	return &Meter{clock: c, space: SpaceOf, count: Du, wait: patience, counting: make(chan struct{}, atOnce), known: map[Folder]*figure{}}
}

// Measure returns what is known of the folders; one of which nothing could be
// learned is missing.
func (m *Meter) Measure(ctx context.Context, folders []Folder) map[Folder]Use {
	limited, cancel := context.WithTimeout(ctx, m.wait)
	defer cancel()
	out := make(map[Folder]Use, len(folders))
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, f := range folders {
		all.Go(func() {
			if use, ok := m.one(limited, f); ok {
				mu.Lock()
				defer mu.Unlock()
				out[f] = use
			}
		})
	}
	all.Wait()
	return out
}

// one is what is known of a folder when it has been measured, or ctx ends.
func (m *Meter) one(ctx context.Context, f Folder) (Use, bool) {
	now := m.clock.Now()
	m.mu.Lock()
	got := m.known[f]
	if got == nil {
		m.forget(now)
		got = &figure{}
		m.known[f] = got
	}
	got.asked = now
	if got.going == nil && !now.Before(got.until) {
		got.going = make(chan struct{})
		go m.measure(context.WithoutCancel(ctx), f, got)
	}
	going := got.going
	m.mu.Unlock()
	if going != nil {
		select {
		case <-going:
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return got.use, got.ok
}

// measure goes on when nobody waits any more, for others. It ends by itself, or when the file system answers.
func (m *Meter) measure(ctx context.Context, f Folder, into *figure) {
	var use Use
	var err error
	if f.Count {
		m.counting <- struct{}{}
	}
	began := m.clock.Now()
	if f.Driven {
		use.Space, err = m.Ask(ctx, f.Path)
	} else {
		use.Space, err = m.space(f.Path)
	}
	if err == nil {
		use.Taken = Taken{use.Space.Used, use.InodesUsed}
		if f.Count {
			ctx, cancel := context.WithTimeout(ctx, longest)
			use.Taken = m.count(ctx, f.Path)
			err = ctx.Err()
			cancel()
		}
	}
	if f.Count {
		<-m.counting
	}
	use.Time = m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	close(into.going)
	into.going = nil
	into.until = use.Time.Add(max(fresh, dear*use.Time.Sub(began)))
	if err == nil {
		into.use, into.ok = use, true
	} else if !errors.Is(err, context.DeadlineExceeded) {
		into.ok = false // it is there no more
	}
}

// forget drops what nobody has asked for lately. One that does not answer stays:
// else it would be asked again and again.
func (m *Meter) forget(now time.Time) {
	for f, got := range m.known {
		if got.going == nil && now.Sub(got.asked) > kept {
			delete(m.known, f)
		}
	}
}
