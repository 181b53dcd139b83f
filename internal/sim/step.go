package sim

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// move is something that may happen next.
type move struct {
	weight int
	do     func()
}

// Step lets one thing happen, chosen by the seed among all that may. It returns
// false when nothing can happen any more but loops looking again by timer, and
// those had nothing to write for a while.
func (s *Sim) Step() bool {
	s.steps++
	s.strike()
	s.fireTimers()
	moves := s.moves()
	if len(moves) == 0 || chance(s.rand, s.passTime()) {
		if len(moves) == 0 && s.idle > restAfter || !s.advance() && len(moves) == 0 {
			return false
		}
		if len(moves) == 0 {
			s.idle++
		}
		return s.checked()
	}
	before := s.store.version
	s.pick(moves).do()
	if s.store.version != before {
		s.idle = 0
	}
	return s.checked()
}

// restAfter is how many timers in a row must change nothing before a cluster
// counts as at rest.
const restAfter = 10

// passTime is the chance that a timer fires although other things could happen.
func (s *Sim) passTime() float64 {
	if s.faults == (Faults{}) {
		return 0
	}
	return 0.02
}

func (s *Sim) pick(moves []move) move {
	total := 0
	for _, m := range moves {
		total += m.weight
	}
	n := s.rand.IntN(total)
	for _, m := range moves {
		if n -= m.weight; n < 0 {
			return m
		}
	}
	return moves[0]
}

// moves lists what may happen now, in a fixed order.
func (s *Sim) moves() []move {
	var all []move
	if !chance(s.rand, s.faults.Stale) {
		for _, gvk := range s.heldKinds() {
			if s.views[gvk].next < len(s.store.kind(gvk).log) {
				all = append(all, move{2, func() { s.deliver(gvk) }})
			}
		}
	}
	for _, r := range s.loops {
		if len(r.queue) > 0 {
			all = append(all, move{3, func() { s.reconcile(r) }})
		}
	}
	all = append(all, s.nodeMoves()...)
	all = append(all, s.attachMoves()...)
	if !s.config.NoToyScheduler {
		all = append(all, s.volumeMoves()...)
	}
	if !s.config.NoToyCollector {
		all = append(all, s.collectorMoves()...)
	}
	if len(all) == 0 { // a standing cache is no reason to stop
		for _, gvk := range s.heldKinds() {
			if s.views[gvk].next < len(s.store.kind(gvk).log) {
				all = append(all, move{1, func() { s.deliver(gvk) }})
			}
		}
	}
	return all
}

func (s *Sim) heldKinds() []schema.GroupVersionKind {
	kinds := make([]schema.GroupVersionKind, 0, len(s.views))
	for gvk := range s.views {
		kinds = append(kinds, gvk)
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) })
	return kinds
}

// fireTimers queues what loops asked to look at again by now.
func (s *Sim) fireTimers() {
	for _, r := range s.loops {
		for _, req := range sortedKeys(r.timers) {
			if !r.timers[req].After(s.clock.now) {
				delete(r.timers, req)
				r.add(req)
			}
		}
	}
}

// advance moves time to the next timer; false when there is none.
func (s *Sim) advance() bool {
	var next time.Time
	for _, r := range s.loops {
		for _, at := range r.timers {
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	if !s.until.IsZero() && (next.IsZero() || next.After(s.until)) {
		next = s.until
	}
	if next.IsZero() {
		return false
	}
	if next.After(s.clock.now) {
		s.clock.now = next
	}
	return true
}

func sortedKeys(timers map[reconcile.Request]time.Time) []reconcile.Request {
	keys := make([]reconcile.Request, 0, len(timers))
	for key := range timers {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b reconcile.Request) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}

// checked asks every invariant after a step.
func (s *Sim) checked() bool {
	if err := s.onePodPerName(); err != nil {
		s.ignore(s.fail(err))
	}
	for _, check := range s.config.Check {
		if err := check(s); err != nil {
			s.ignore(s.fail(err))
		}
	}
	return true
}
