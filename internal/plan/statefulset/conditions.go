package statefulset

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// The conditions that Berth publishes beside upstream's counts.
const (
	// ConditionAvailable is True while every wanted pod is available.
	ConditionAvailable appsv1.StatefulSetConditionType = "Available"
	// ConditionProgressing is True while the set is as wanted or on its way
	// there, False when nothing has moved for the progress deadline, Unknown
	// while its rollout is paused.
	ConditionProgressing = appsv1.StatefulSetProgressing
	// ConditionHeld exists, and is True, while the set waits for something that
	// does not pass by itself. Its reason is the hold's, its message says what to do.
	ConditionHeld appsv1.StatefulSetConditionType = "Held"
)

// Reasons of ConditionAvailable and ConditionProgressing.
const (
	PodsAvailable            = "PodsAvailable"
	PodsUnavailable          = "PodsUnavailable"
	RolloutComplete          = "RolloutComplete"
	RolloutProgressing       = "RolloutProgressing"
	RolloutPaused            = "RolloutPaused"
	ProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	// Upstream's, of a set that is replaced as a whole (KEP-3541); when that is
	// done Progressing is False.
	RecreateInProgress = "RecreateInProgress"
	RecreateCompleted  = "RecreateCompleted"
)

// Conditions returns the set's conditions after a decision, those of others
// kept, and how long until time alone changes them (0: it does not). A time of
// transition moves when a status or a reason changes.
func Conditions(f Facts, s State, p Plan, status *appsv1.StatefulSetStatus) ([]appsv1.StatefulSetCondition, time.Duration) {
	old := f.Set.Status.Conditions
	progressing, again := s.progressing(f, p, status, find(old, ConditionProgressing))
	kept := slices.Clone(old)
	for _, c := range []appsv1.StatefulSetCondition{s.available(), progressing} {
		kept = put(kept, c, f.Now)
	}
	before, ending := s.memories(f, p)
	for kind, c := range []*appsv1.StatefulSetCondition{s.held(p), before, ending} {
		if c != nil {
			kept = put(kept, *c, f.Now)
			continue
		}
		gone := [...]appsv1.StatefulSetConditionType{ConditionHeld, ConditionReadyBefore, ConditionBackOff}[kind]
		kept = slices.DeleteFunc(kept, func(c appsv1.StatefulSetCondition) bool { return c.Type == gone })
	}
	return kept, again
}

func (s State) available() appsv1.StatefulSetCondition {
	n := 0
	for _, pod := range s.Pods {
		if s.inRange(pod.Ordinal) && !pod.unavailable() {
			n++
		}
	}
	c := appsv1.StatefulSetCondition{
		Type: ConditionAvailable, Status: corev1.ConditionTrue, Reason: PodsAvailable,
		Message: fmt.Sprintf("%d of %d pods are available", n, s.Replicas),
	}
	if n < s.Replicas {
		c.Status, c.Reason = corev1.ConditionFalse, PodsUnavailable
	}
	return c
}

func (s State) progressing(f Facts, p Plan, status *appsv1.StatefulSetStatus, before *appsv1.StatefulSetCondition) (appsv1.StatefulSetCondition, time.Duration) {
	c := appsv1.StatefulSetCondition{Type: ConditionProgressing, Status: corev1.ConditionTrue}
	slots, surplus := s.split()
	switch {
	case s.Paused && s.unrolled(slots):
		c.Status, c.Reason = corev1.ConditionUnknown, RolloutPaused
		c.Message = fmt.Sprintf("the rollout to revision %s is paused", s.Update)
		return c, 0
	case len(surplus) == 0 && !slices.ContainsFunc(slots, Pod.unavailable) && !s.unrolled(slots) && !growing(slots):
		if s.Strategy == Recreate && before != nil && (before.Reason == RecreateInProgress || before.Reason == RecreateCompleted) {
			c.Status, c.Reason, c.Message = corev1.ConditionFalse, RecreateCompleted, "All pods recreated successfully"
			return c, 0
		}
		c.Reason, c.Message = RolloutComplete, fmt.Sprintf("all pods are as wanted, the update revision is %s", s.Update)
		return c, 0
	}
	c.Reason = RolloutProgressing
	c.Message = fmt.Sprintf("%d of %d pods are of the update revision, %d are available", status.UpdatedReplicas, s.Replicas, status.AvailableReplicas)
	switch {
	case s.Strategy != Recreate:
	case s.unrolled(s.Pods):
		c.Reason, c.Message = RecreateInProgress, "Deleting old revision pods"
	case before != nil && before.Reason == RecreateInProgress:
		c.Reason, c.Message = RecreateInProgress, "Waiting for new-revision pods to be created"
	}
	asked, _ := options.Parse(f.Set.Annotations)
	left := asked.ProgressDeadline - f.Now.Sub(f.lastProgress(before))
	if left > 0 {
		return c, left
	}
	c.Status, c.Reason = corev1.ConditionFalse, ProgressDeadlineExceeded
	c.Message = fmt.Sprintf("nothing has moved for %s", asked.ProgressDeadline)
	if len(p.Holds) > 0 {
		c.Message += ": " + s.sayHold(p.Holds[0])
	}
	return c, 0
}

// lastProgress is when something last moved towards what is wanted: the set was
// made or began to differ from it, a pod was made, or one that is ready became so.
func (f Facts) lastProgress(before *appsv1.StatefulSetCondition) time.Time {
	last := f.Set.CreationTimestamp.Time
	later := func(t metav1.Time) {
		if t.After(last) {
			last = t.Time
		}
	}
	switch {
	case before == nil:
	case before.Reason == RolloutProgressing, before.Reason == RecreateInProgress:
		later(before.LastTransitionTime)
	case before.Reason != ProgressDeadlineExceeded:
		return f.Now
	}
	for _, pod := range f.Pods {
		later(pod.CreationTimestamp)
		if ready := condition(pod, corev1.PodReady); ready != nil && ready.Status == corev1.ConditionTrue {
			later(ready.LastTransitionTime)
		}
	}
	return last
}

// held is the first hold that does not pass by itself.
func (s State) held(p Plan) *appsv1.StatefulSetCondition {
	for _, h := range p.Holds {
		pod := s.at(h.Ordinal)
		switch h.Why {
		case AwaitLower, ClaimDeleting, NotInPlace, OverridesUnusable:
		case AwaitReady:
			if !pod.Stuck {
				continue
			}
		case AwaitImages:
			if pod.Pull != PullFailed {
				continue
			}
		default:
			continue
		}
		return &appsv1.StatefulSetCondition{Type: ConditionHeld, Status: corev1.ConditionTrue, Reason: string(h.Why), Message: s.sayHold(h)}
	}
	return nil
}

// NewlyHeld returns ConditionHeld when it has come or has another reason than
// before: what an event is worth.
func NewlyHeld(before, now []appsv1.StatefulSetCondition) *appsv1.StatefulSetCondition {
	held, was := find(now, ConditionHeld), find(before, ConditionHeld)
	if held == nil || was != nil && was.Reason == held.Reason {
		return nil
	}
	return held
}

func find(conditions []appsv1.StatefulSetCondition, kind appsv1.StatefulSetConditionType) *appsv1.StatefulSetCondition {
	i := slices.IndexFunc(conditions, func(c appsv1.StatefulSetCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &conditions[i]
}

// put replaces the condition of that type or adds it.
func put(conditions []appsv1.StatefulSetCondition, c appsv1.StatefulSetCondition, now time.Time) []appsv1.StatefulSetCondition {
	c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	old := find(conditions, c.Type)
	if old == nil {
		return append(conditions, c)
	}
	if old.Status == c.Status && old.Reason == c.Reason {
		c.LastTransitionTime = old.LastTransitionTime
	}
	*old = c
	return conditions
}
