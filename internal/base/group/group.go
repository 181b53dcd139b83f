// Package group runs the parts of a program: each starts when the parts it
// needs are ready, and stops after the parts that need it have stopped.
//
//	waiting ──needs are ready──► starting ──ready()──► ready
//	                                │                    │ stop: all parts that need it have ended
//	                                ▼                    ▼
//	                              ended ◄──────────── stopping (its own deadline)
//
// The first part that ends with an error stops the whole group.
package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Unit is one part.
type Unit struct {
	Name string
	// After names the units that must be ready first; they stop later.
	After []string
	// Run does the work until ctx is done. It calls ready once, when others may
	// rely on it. Returning nil before ctx is done means the work is finished.
	Run func(ctx context.Context, ready func()) error
	// StopTimeout is how long Run may take to return after ctx is done; 0 means 2 s.
	StopTimeout time.Duration
}

const defaultStop = 2 * time.Second

// part is a unit under way.
type part struct {
	Unit
	cancel context.CancelFunc
	ready  chan struct{}
	ended  chan struct{}
	err    error // set before ended is closed
}

// Run starts all units and blocks until ctx is done or a unit fails, then
// stops all. ready, when not nil, is called once every unit is ready. The
// error joins what units returned, each with its name; units that overran their
// stop timeout are named too.
func Run(ctx context.Context, ready func(), units ...Unit) error {
	parts := map[string]*part{}
	for _, u := range units {
		if parts[u.Name] != nil {
			return fmt.Errorf("two units are named %q", u.Name)
		}
		if u.StopTimeout == 0 {
			u.StopTimeout = defaultStop
		}
		parts[u.Name] = &part{Unit: u, ready: make(chan struct{}), ended: make(chan struct{})}
	}
	if err := check(units); err != nil {
		return err
	}
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	for _, p := range parts {
		// Units are cancelled one by one in reverse order, not by ctx.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p.cancel = cancel
		go p.run(stopping, own, parts, stop)
	}
	go func() {
		for _, p := range parts {
			select {
			case <-p.ready:
			case <-stopping.Done():
				return
			}
		}
		if ready != nil {
			ready()
		}
	}()
	<-stopping.Done()
	return shutdown(parts, units)
}

// run waits for the needs, then runs the unit.
func (p *part) run(stopping, own context.Context, parts map[string]*part, fail func()) {
	defer close(p.ended)
	for _, need := range p.After {
		select {
		case <-parts[need].ready:
		case <-stopping.Done():
			return
		}
	}
	if stopping.Err() != nil {
		return
	}
	p.err = p.Run(own, sync.OnceFunc(func() { close(p.ready) }))
	if p.err != nil && own.Err() == nil {
		fail()
	}
}

// shutdown cancels each part once all parts after it have ended.
func shutdown(parts map[string]*part, units []Unit) error {
	var mu sync.Mutex
	var problems []error
	var all sync.WaitGroup
	for _, p := range parts {
		all.Go(func() {
			for _, other := range units {
				if slices.Contains(other.After, p.Name) {
					late := time.NewTimer(parts[other.Name].StopTimeout + chain(other, units))
					select {
					case <-parts[other.Name].ended:
					case <-late.C: // reported by the part itself
					}
					late.Stop()
				}
			}
			p.cancel()
			late := time.NewTimer(p.StopTimeout)
			defer late.Stop()
			select {
			case <-p.ended:
				if p.err != nil && !errors.Is(p.err, context.Canceled) {
					mu.Lock()
					problems = append(problems, fmt.Errorf("%s: %w", p.Name, p.err))
					mu.Unlock()
				}
			case <-late.C:
				mu.Lock()
				problems = append(problems, fmt.Errorf("%s did not stop within %s", p.Name, p.StopTimeout))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return errors.Join(problems...)
}

// chain is the longest time that the units after u may take to stop.
func chain(u Unit, units []Unit) time.Duration {
	var longest time.Duration
	for _, other := range units {
		if slices.Contains(other.After, u.Name) {
			own := other.StopTimeout
			if own == 0 {
				own = defaultStop
			}
			longest = max(longest, own+chain(other, units))
		}
	}
	return longest
}

// check refuses unknown needs and circles.
func check(units []Unit) error {
	byName := map[string]Unit{}
	for _, u := range units {
		byName[u.Name] = u
	}
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(u Unit) error
	visit = func(u Unit) error {
		switch state[u.Name] {
		case visiting:
			return fmt.Errorf("unit %q needs itself", u.Name)
		case done:
			return nil
		}
		state[u.Name] = visiting
		for _, need := range u.After {
			next, ok := byName[need]
			if !ok {
				return fmt.Errorf("unit %q needs %q, which does not exist", u.Name, need)
			}
			if err := visit(next); err != nil {
				return err
			}
		}
		state[u.Name] = done
		return nil
	}
	for _, u := range units {
		if err := visit(u); err != nil {
			return err
		}
	}
	return nil
}
