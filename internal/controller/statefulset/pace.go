package statefulset

import (
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/loop"
)

// unsaidFor is how long a status may wait for the pass that follows our own
// actions: that one knows what became of them, and one write says both. What
// later decisions rest on never waits.
const unsaidFor = 50 * time.Millisecond

// countedFor is how long a stored status stands, at least, while the pods of a
// Parallel set come up or go: each of them changes a count, and a write costs as
// much as a quarter of a pod. The last one is counted at once.
const countedFor = 200 * time.Millisecond

// pace is what the loop remembers to do less. Nothing depends on it: without
// it, statuses are written and pods counted more often.
type pace struct {
	mu   sync.Mutex
	sets map[types.NamespacedName]paced
}

type paced struct {
	unsaid time.Time // since when a changed status waits, zero when none does
	stored time.Time // when a status was last written
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

// stands is how long the stored status of a Parallel set may stand yet although
// the next one counts differently; 0 when all is as wanted.
func (p *pace) stands(set *appsv1.StatefulSet, next *appsv1.StatefulSetStatus, key types.NamespacedName, now time.Time) time.Duration {
	wanted := ptr.Deref(set.Spec.Replicas, 1)
	if set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement || set.DeletionTimestamp != nil ||
		next.Replicas == wanted && next.AvailableReplicas == wanted && next.UpdatedReplicas == wanted {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.sets[key].stored.Add(countedFor).Sub(now))
}

// said is called when the status that is stored says all; stored says that it
// was written just now.
func (p *pace) said(key types.NamespacedName, now time.Time, stored bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := p.sets[key]
	set.unsaid = time.Time{}
	if stored {
		set.stored = now
	}
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
