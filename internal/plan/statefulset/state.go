package statefulset

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// State is what the planner knows of one StatefulSet at one moment.
type State struct {
	Name     string
	Deleting bool
	// Replicas pods are wanted, with the lowest ordinals from Start on that are not Reserved.
	Replicas, Start int
	Parallel        bool
	Strategy        Strategy
	// HasRolling tells `rollingUpdate: {}` from no rollingUpdate at all.
	HasRolling bool
	// Partition counts wanted pods: so many of the lowest keep Current.
	Partition int
	// MaxUnavailable is resolved against Replicas and at least 1.
	MaxUnavailable int
	// Current and Update name the revisions to roll from and to.
	Current, Update string
	// CurrentReplicas is what the stored status says.
	CurrentReplicas int
	Retention       Retention
	// ScaleDownUnready lets surplus pods of an ordered set go that are not ready,
	// highest first, where upstream lets two of them wait for each other for ever.
	ScaleDownUnready bool
	// Reserved ordinals get no pod: the next ones do instead.
	Reserved options.Ordinals
	// Paused holds the rollout; lost and ended pods are still replaced.
	Paused bool
	// StartLimit, when not 0, is how many pods of a Parallel set may be on their
	// way up at once.
	StartLimit int
	// Teardown: the deletion of the set stops its pods in order. Guarded: the set
	// carries the finalizer that it takes. Orphaning: its pods are to outlive it.
	Teardown, Guarded, Orphaning bool
	// RespectBudgets: a rollout takes no pod that one of Budgets would refuse.
	RespectBudgets bool
	Budgets        []DisruptionBudget
	// RecoverTogether: pods of an ordered set that were ready before do not wait
	// for one another.
	RecoverTogether bool
	// Order is the order in which a rollout takes pods.
	Order options.Order
	// InPlace is when pods are updated in place instead of being made anew.
	InPlace options.InPlace
	// PrePull: a pod that works is taken when the new images are on its node.
	PrePull bool
	// BadOverrides says why the overrides cannot be used; nothing is done then.
	BadOverrides string
	// Pods holds, by ordinal, every wanted pod (absent ones too) and every
	// surplus pod that exists.
	Pods []Pod
}

// Strategy is spec.updateStrategy.type.
type Strategy string

// The strategies.
const (
	RollingUpdate Strategy = "RollingUpdate"
	OnDelete      Strategy = "OnDelete"
	Recreate      Strategy = "Recreate"
)

// Retention says when claims are deleted; false means never.
type Retention struct {
	WhenScaled, WhenDeleted bool
}

// Health orders what a pod can be by how much it can do.
type Health int

// From nothing to serving. Dead means phase Failed or Succeeded; Ready means
// Ready but not yet for minReadySeconds.
const (
	Absent Health = iota
	Dead
	Pending
	Starting
	Ready
	Available
)

func (h Health) String() string {
	return [...]string{"absent", "dead", "pending", "starting", "ready", "available"}[h]
}

// Pod is one ordinal's pod as the planner sees it.
type Pod struct {
	Ordinal     int
	UID         types.UID
	Health      Health
	Terminating bool
	// Revision is the value of the pod's revision label.
	Revision string
	// NeverStarted: no container of the pod has come up since it was created, and
	// one of them is kept from starting.
	NeverStarted bool
	// WrongIdentity and WrongStorage: labels or volumes are not the ordinal's.
	WrongIdentity, WrongStorage bool
	// OlderStorage: all that is wrong with the volumes is that those of claim
	// templates are not there which the set has now.
	OlderStorage bool
	// AvailableIn is how long until a Ready pod is Available.
	AvailableIn time.Duration
	// Detail says in a user's words why the pod is not ready, when known.
	Detail string
	// Stuck: what Detail says does not pass by itself.
	Stuck bool
	// Obstacle says why the pod cannot become one of the update revision in place;
	// Patchable that it can. Both are known only of outdated pods, when asked for.
	Patchable bool
	Obstacle  string
	// Images are those of the update revision that the pod's node may lack, Pull is
	// how far it is with them; PullLeft is how long a node that does not answer is
	// waited for.
	Images   string
	Pull     Pull
	PullLeft time.Duration
	// Override stands for the patches of the template that the ordinal's pod should
	// have, Overridden for those it has; "" for none.
	Override, Overridden string
	// Turn is when a rollout comes to the pod, by its label; Asked: its label asks
	// for a new pod in its place.
	Turn  int
	Asked bool
	// ReadyBefore: the ordinal's pod is, or a former one has been, ready.
	ReadyBefore bool
	// Failures is how many pods of the ordinal have ended, one after another,
	// without becoming available; RetryIn is how long the next one has to wait.
	Failures int
	RetryIn  time.Duration
	Claims   []Claim
}

// Claim is one of an ordinal's claims.
type Claim struct {
	Name string
	// Template is the index in volumeClaimTemplates.
	Template int
	// Missing and Deleting claims cannot carry a new pod.
	Missing, Deleting bool
	// SetRef and PodRef say whether the set and the pod own the claim.
	SetRef, PodRef Ref
	// Foreign: something else is the claim's controller.
	Foreign bool
	// TooSmall: the claim is bound and asks for less storage than its template.
	// Growing: it asks for more than it has yet, Wanted.
	TooSmall, Growing bool
	Wanted            string
}

// Ref is what an owner reference to an object of the right kind and name is.
type Ref int

// NoRef: there is none. Plain: it is ours but not as controller. Held: it is
// ours. Stale: it means an older object of the same name.
const (
	NoRef Ref = iota
	Plain
	Held
	Stale
)

// unavailable is upstream's measure for the update budget.
func (p Pod) unavailable() bool { return p.Health < Available || p.Terminating }

// inRange reports whether the ordinal is wanted.
func (s State) inRange(ordinal int) bool {
	return ordinal >= s.Start && ordinal < s.end() && !s.Reserved.Has(ordinal)
}

// end is the ordinal after the last wanted one.
func (s State) end() int { return s.Reserved.Skip(s.Start, s.Replicas) }

// index counts the wanted ordinals below this one.
func (s State) index(ordinal int) int { return s.Reserved.Free(s.Start, ordinal) }

// at returns the pod at an ordinal; the zero Pod when the state has none.
func (s State) at(ordinal int) Pod {
	i, found := slices.BinarySearchFunc(s.Pods, ordinal, func(p Pod, o int) int { return p.Ordinal - o })
	if !found {
		return Pod{}
	}
	return s.Pods[i]
}

// split returns the wanted pods ascending and the surplus ones descending.
func (s State) split() (slots, surplus []Pod) {
	for _, pod := range s.Pods {
		if s.inRange(pod.Ordinal) {
			slots = append(slots, pod)
		}
	}
	for i := len(s.Pods) - 1; i >= 0; i-- {
		if !s.inRange(s.Pods[i].Ordinal) {
			surplus = append(surplus, s.Pods[i])
		}
	}
	return slots, surplus
}

// revisionFor is the revision that a pod created at this ordinal gets.
func (s State) revisionFor(ordinal int, rules Rules) string {
	switch {
	case s.Strategy == Recreate && s.lingers():
		return s.Current
	case s.Strategy == Recreate:
		return s.Update
	case s.index(ordinal) < s.kept(rules) || s.Paused && !s.reached(ordinal):
		return s.Current
	}
	return s.Update
}

// lingers reports whether a set that is replaced as a whole is still the former:
// its pods are, or there are none and none of the new may be made.
func (s State) lingers() bool {
	begun := false
	for _, pod := range s.Pods {
		if pod.old(s) {
			return true
		}
		begun = begun || pod.Health != Absent
	}
	return s.Paused && !begun
}

// mixes reports whether a pod of that revision may not be made yet, because the
// set is replaced as a whole and has pods of others.
func (s State) mixes(revision string) bool {
	return s.Strategy == Recreate && revision == s.Update && slices.ContainsFunc(s.Pods, func(p Pod) bool {
		return p.Health != Absent && p.Revision != revision
	})
}

// kept is how many of the lowest ordinals get the current revision. Without
// rollingUpdate that is as many as still have it.
func (s State) kept(rules Rules) int {
	switch {
	case s.Strategy != RollingUpdate:
		return 0
	case s.HasRolling:
		return s.Partition
	case !s.Order.Default():
		return 0 // what is current are not the lowest
	case s.Parallel && rules.UpdateParallelPods:
		return 0
	case rules.RepairForcedRollback:
		return min(s.CurrentReplicas, s.keepers())
	}
	return s.CurrentReplicas
}

// reached reports whether the rollout has certainly come to this ordinal. By
// label it cannot be told: the pod is gone, and its label with it.
func (s State) reached(ordinal int) bool {
	for _, pod := range s.Pods {
		before := pod.Ordinal < ordinal
		if s.Order.Ascending {
			before = pod.Ordinal > ordinal
		}
		if before && s.Order.Label == "" && s.inRange(pod.Ordinal) && pod.Health != Absent && pod.Revision == s.Update {
			return true
		}
	}
	return s.Current == s.Update
}

// keepers counts the wanted pods that have the current revision and stay.
func (s State) keepers() int {
	n := 0
	for _, pod := range s.Pods {
		if s.inRange(pod.Ordinal) && pod.Health != Absent && !pod.Terminating && pod.Revision == s.Current {
			n++
		}
	}
	return n
}
