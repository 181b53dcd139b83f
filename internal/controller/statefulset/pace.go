package statefulset

import (
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/controller/loop"
)

// unsaidFor is how long a status may wait for the pass that follows our own
// actions: that one knows what became of them, and one write says both. What
// later decisions rest on never waits.
const unsaidFor = 50 * time.Millisecond

// pace is what the loop remembers to do less. Nothing depends on it: without
// it, statuses are written and pods counted more often.
type pace struct {
	mu   sync.Mutex
	sets map[types.NamespacedName]paced
}

type paced struct {
	unsaid time.Time // since when a changed status waits, zero when none does
	looked time.Time // when the last pass ended
	pods   int       // that it saw
	idle   bool      // it had nothing to do but to count
}

// mayWait reports whether a changed status may wait for the next pass.
func (p *pace) mayWait(key types.NamespacedName, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := p.sets[key]
	if set.unsaid.IsZero() {
		set.unsaid = now
		p.sets[key] = set
	}
	return now.Sub(set.unsaid) < unsaidFor
}

// said is called when the status that is stored says all.
func (p *pace) said(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := p.sets[key]
	set.unsaid = time.Time{}
	p.sets[key] = set
}

// ended is called at the end of a pass.
func (p *pace) ended(key types.NamespacedName, now time.Time, pods int, idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := p.sets[key]
	set.looked, set.pods, set.idle = now, pods, idle
	p.sets[key] = set
}

// rest is how long to leave a Parallel set alone whose pods were only counted.
// Order is never kept waiting, nor is a set that somebody changes.
func (p *pace) rest(set *appsv1.StatefulSet, key types.NamespacedName, now time.Time) time.Duration {
	if set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement ||
		set.Status.ObservedGeneration != set.Generation || set.DeletionTimestamp != nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.sets[key]
	if !last.idle {
		return 0
	}
	return loop.Rest(last.pods, now.Sub(last.looked))
}

func (p *pace) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sets, key)
}
