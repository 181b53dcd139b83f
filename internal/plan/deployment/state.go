package deployment

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podready"
)

// Facts are the objects that a State is read from. They are not changed.
type Facts struct {
	Deployment *appsv1.Deployment
	// Sets are controlled by the Deployment; the order does not matter.
	Sets []*appsv1.ReplicaSet
	// Pods are those of a set, needed for Recreate only.
	Pods map[types.UID][]*corev1.Pod
	Now  time.Time
}

// State is what the planner knows of one Deployment at one moment.
type State struct {
	Deleting, Paused, Recreate bool
	// Rollback: the annotation of older versions asks for an earlier revision.
	Rollback bool
	Replicas int
	// Surge and Unavailable are resolved against Replicas.
	Surge, Unavailable int
	// Had is how many pods the stored status counts; Complete that it calls the
	// rollout complete.
	Had      int
	Complete bool
	// HistoryLimit is how many old sets are kept, -1 for all.
	HistoryLimit int
	// OldPods: a pod of an old template has not ended yet.
	OldPods bool
	// Sets are those of all templates, the oldest first.
	Sets []Set
}

// Set is one ReplicaSet as the planner sees it.
type Set struct {
	Name string
	// New: it is the set of the Deployment's template.
	New bool
	// Size is what is asked for, Pods what is there, Available what serves.
	Size, Pods, Available int
	// Seen: its controller has seen the size.
	Seen     bool
	Deleting bool
	Revision int64
	// Desired and Max are how large the Deployment was to be and might have been
	// when the set was last scaled, -1 when that is not known.
	Desired, Max int
	// Stale: the new set does not carry what it should of the Deployment.
	Stale bool
}

// Observe reads the state from the objects.
func Observe(f Facts) State {
	d := f.Deployment
	_, rollback := d.Annotations[appsv1.DeprecatedRollbackTo]
	s := State{
		Deleting:     d.DeletionTimestamp != nil,
		Paused:       d.Spec.Paused,
		Recreate:     d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType,
		Rollback:     rollback,
		Replicas:     int(ptr.Deref(d.Spec.Replicas, 1)),
		Had:          int(d.Status.Replicas),
		Complete:     complete(d, &d.Status),
		HistoryLimit: historyLimit(d),
	}
	s.Surge, s.Unavailable = bounds(d)
	latest := f.newSet()
	for _, rs := range f.sorted() {
		set := Set{
			Name: rs.Name, New: rs == latest, Deleting: rs.DeletionTimestamp != nil,
			Size: int(ptr.Deref(rs.Spec.Replicas, 1)), Pods: int(rs.Status.Replicas), Available: int(rs.Status.AvailableReplicas),
			Seen: rs.Status.ObservedGeneration >= rs.Generation, Revision: revisionOf(rs),
			Desired: number(rs, desiredAnnotation), Max: number(rs, maxAnnotation),
		}
		if set.New {
			set.Stale = f.stale(rs)
		} else if slices.ContainsFunc(f.Pods[rs.UID], func(pod *corev1.Pod) bool { return !podready.Ended(pod) }) {
			s.OldPods = true
		}
		s.Sets = append(s.Sets, set)
	}
	return s
}

// sorted are the sets, the oldest first.
func (f Facts) sorted() []*appsv1.ReplicaSet {
	return slices.SortedFunc(slices.Values(f.Sets), func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// newSet is the oldest set of the Deployment's template, nil when there is none.
func (f Facts) newSet() *appsv1.ReplicaSet {
	for _, rs := range f.sorted() {
		if SameTemplate(&rs.Spec.Template, &f.Deployment.Spec.Template) {
			return rs
		}
	}
	return nil
}

// complete reports whether every pod is of the new set and serves.
func complete(d *appsv1.Deployment, status *appsv1.DeploymentStatus) bool {
	replicas := ptr.Deref(d.Spec.Replicas, 1)
	return status.UpdatedReplicas == replicas && status.Replicas == replicas && status.AvailableReplicas == replicas &&
		status.ObservedGeneration >= d.Generation
}

// newest is the new set; ok is false when there is none.
func (s State) newest() (set Set, ok bool) {
	i := slices.IndexFunc(s.Sets, func(set Set) bool { return set.New })
	if i < 0 {
		return Set{}, false
	}
	return s.Sets[i], true
}

// old are the sets of other templates, the oldest first.
func (s State) old() []Set {
	return slices.DeleteFunc(slices.Clone(s.Sets), func(set Set) bool { return set.New })
}

// active are the sets that are to have pods.
func active(sets []Set) []Set {
	return slices.DeleteFunc(slices.Clone(sets), func(set Set) bool { return set.Size == 0 })
}

func total(sets []Set, of func(Set) int) int {
	n := 0
	for _, set := range sets {
		n += of(set)
	}
	return n
}

func size(set Set) int { return set.Size }

// most is how many pods the set may have at this moment.
func most(set Set) int { return max(set.Size, set.Pods) }

// serving is how many pods that serve the set keeps for certain.
func serving(set Set) int { return min(set.Size, set.Available) }
