// Package replicaset decides what a ReplicaSet or a ReplicationController does
// next: how many pods to make, which of too many to delete, and what its status
// says. A ReplicationController is treated as the ReplicaSet that it amounts to.
package replicaset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podready"
)

// Facts are the objects that a decision rests on. They are not changed.
type Facts struct {
	Set *appsv1.ReplicaSet
	// Pods are those that the set controls and that its selector matches.
	Pods []*corev1.Pod
	// Related are the pods of every set of the same owner, those of this set too.
	Related []*corev1.Pod
	Now     time.Time
}

// Plan is what to do now, and when to look again although nothing has changed
// (0: not by time alone).
type Plan struct {
	Create int
	Delete []*corev1.Pod
	Again  time.Duration
}

// burst is how many pods are made or deleted at once; the rest follows when
// these are seen.
const burst = 500

// Decide compares what is with what is wanted. A set that is being deleted
// leaves its pods to the garbage collector.
func Decide(f Facts) Plan {
	active := f.active()
	plan := Plan{Again: f.availableIn(active)}
	if f.Set.DeletionTimestamp != nil {
		return plan
	}
	switch missing := f.wanted() - len(active); {
	case missing > 0:
		plan.Create = min(missing, burst)
	case missing < 0:
		plan.Delete = surplus(active, f.Related, min(-missing, burst), f.Now)
	}
	return plan
}

func (f Facts) wanted() int { return int(ptr.Deref(f.Set.Spec.Replicas, 1)) }

// active are the pods that count as replicas.
func (f Facts) active() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range f.Pods {
		if podready.Active(pod) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// availableIn is how long until the next ready pod has been so for long enough.
func (f Facts) availableIn(active []*corev1.Pod) time.Duration {
	next := time.Duration(0)
	for _, pod := range active {
		if _, left := podready.Available(pod, f.Set.Spec.MinReadySeconds, f.Now); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}
