// Package load writes numbered records to a system without pause and finds out
// whether all that were acknowledged are there. How a system is spoken to is one
// Store for each, in words of its own protocol, so that no client library decides
// when to try again.
package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Dial connects to a name and port of the cluster.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Store is a system as one client sees it, who connects anew after an error.
type Store interface {
	// Write returns nil when the system has acknowledged record n. After an error
	// the record may be there or not.
	Write(ctx context.Context, n int) error
	// Read returns the records that are there.
	Read(ctx context.Context) ([]int, error)
}

// patience is what one write may take. A system that loses a member needs a
// moment to find another; a write to a member that is gone must end some time.
const patience = 5 * time.Second

// pause is between two writes.
const pause = 10 * time.Millisecond

// Load is a client at work.
type Load struct {
	store Store
	stop  context.CancelFunc
	done  chan struct{}

	mu        sync.Mutex
	attempted int
	acked     []int
	failed    int
	lastError error
	// lapped is how many of acked the last lap ended with.
	lapped int
	// last is when a write was acknowledged, longest the time between two of them.
	last    time.Time
	longest time.Duration
	// more is closed, and made anew, by each answer.
	more chan struct{}
}

// Start writes records from 1 on until Stop.
func Start(ctx context.Context, store Store) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{store: store, stop: stop, done: make(chan struct{}), last: time.Now(), more: make(chan struct{})}
	go l.run(ctx)
	return l
}

func (l *Load) run(ctx context.Context) {
	defer close(l.done)
	for n := 1; ; n++ {
		l.mu.Lock()
		l.attempted = n
		l.mu.Unlock()
		once, cancel := context.WithTimeout(ctx, patience)
		err := l.store.Write(once, n)
		cancel()
		l.note(n, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (l *Load) note(n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	if err != nil {
		l.lastError = err
		l.failed++
		return
	}
	now := time.Now()
	l.longest, l.last = max(l.longest, now.Sub(l.last)), now
	l.acked = append(l.acked, n)
}

// Await waits until count more records are acknowledged than now.
func (l *Load) Await(ctx context.Context, count int) error {
	l.mu.Lock()
	want := len(l.acked) + count
	l.mu.Unlock()
	for {
		l.mu.Lock()
		have, more, err := len(l.acked), l.more, l.lastError
		l.mu.Unlock()
		if have >= want {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%d records are acknowledged, not %d: %w; the last error: %w", have, want, ctx.Err(), err)
		}
	}
}

// Lap is what the client did since the last one; what it did before that is not in
// it, but for the time since the last acknowledgement.
func (l *Load) Lap() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Report{Attempted: l.attempted, Acknowledged: slices.Clone(l.acked[l.lapped:]), Longest: max(l.longest, time.Since(l.last))}
	l.lapped, l.longest = len(l.acked), 0
	return r
}

// Verify reads from a store, which may be another way to the same system, and
// compares with all that was acknowledged before; the client may be at work.
func (l *Load) Verify(ctx context.Context, store Store) (Comparison, error) {
	l.mu.Lock()
	r := Report{Acknowledged: slices.Clone(l.acked)}
	l.mu.Unlock()
	present, err := store.Read(ctx)
	if err != nil {
		return Comparison{}, err
	}
	l.mu.Lock()
	r.Attempted = l.attempted
	l.mu.Unlock()
	return r.Check(present), nil
}

// Refused waits until so many writes have failed, or enough more are acknowledged,
// and tells how many have failed.
func (l *Load) Refused(ctx context.Context, failures, enough int) (int, error) {
	l.mu.Lock()
	failed, acked := l.failed, len(l.acked)
	l.mu.Unlock()
	for {
		l.mu.Lock()
		refused, taken, more := l.failed-failed, len(l.acked)-acked, l.more
		l.mu.Unlock()
		if refused >= failures || taken >= enough {
			return refused, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return refused, ctx.Err()
		}
	}
}

// Stop ends the client and says what it did.
func (l *Load) Stop() Report {
	l.stop()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	return Report{Attempted: l.attempted, Acknowledged: slices.Clone(l.acked), Longest: l.longest}
}

// Report is what a client did.
type Report struct {
	// Attempted is the last record that it tried to write.
	Attempted int
	// Acknowledged are the records that the system took.
	Acknowledged []int
	// Longest is the longest time without a successful write.
	Longest time.Duration
}

// Check compares with what is there: Lost was acknowledged and is missing,
// Invented was never written, Twice is there more than once.
func (r Report) Check(present []int) (c Comparison) {
	count := map[int]int{}
	for _, n := range present {
		count[n]++
	}
	for _, n := range r.Acknowledged {
		if count[n] == 0 {
			c.Lost = append(c.Lost, n)
		}
	}
	for n, times := range count {
		if n < 1 || n > r.Attempted {
			c.Invented = append(c.Invented, n)
		}
		if times > 1 {
			c.Twice = append(c.Twice, n)
		}
	}
	slices.Sort(c.Invented)
	slices.Sort(c.Twice)
	return c
}

// Comparison is how a system differs from what it acknowledged.
type Comparison struct{ Lost, Invented, Twice []int }

// Good tells that nothing differs.
func (c Comparison) Good() bool { return len(c.Lost)+len(c.Invented)+len(c.Twice) == 0 }

func (c Comparison) String() string {
	return fmt.Sprintf("%d lost %v, %d invented %v, %d twice %v", len(c.Lost), c.Lost, len(c.Invented), c.Invented, len(c.Twice), c.Twice)
}

func (r Report) String() string {
	return fmt.Sprintf("%d records acknowledged of %d, at most %s without one", len(r.Acknowledged), r.Attempted, r.Longest.Round(time.Millisecond))
}

// numbers reads each text as a number.
func numbers(texts []string, err error) ([]int, error) {
	all := make([]int, 0, len(texts))
	for _, s := range texts {
		n, bad := strconv.Atoi(s)
		err = errors.Join(err, bad)
		all = append(all, n)
	}
	return all, err
}
