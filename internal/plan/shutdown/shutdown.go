// Package shutdown says in which order the pods of a node end when the machine
// is going down, and how long each has. Names and words are upstream's.
package shutdown

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/schedule"
)

// critical is the lowest priority of the system's own priority classes.
const critical = 2_000_000_000

const (
	reason  = "Terminated"
	message = "Pod was terminated in response to imminent node shutdown."
)

// Status is what the node's Ready condition says.
const Status = "node is shutting down"

// Period is how many seconds pods of this priority and above have, up to the
// next period's priority.
type Period struct {
	Priority int32
	Seconds  int64
}

// Split is the periods of all pods together and, of these, the part that
// critical pods have for themselves.
func Split(all, criticalPods time.Duration) []Period {
	if all <= 0 || criticalPods < 0 || criticalPods > all {
		return nil
	}
	return []Period{{0, int64((all - criticalPods) / time.Second)}, {critical, int64(criticalPods / time.Second)}}
}

// Total is how long the whole may take.
func Total(periods []Period) time.Duration {
	var sum time.Duration
	for _, p := range periods {
		sum += time.Duration(p.Seconds) * time.Second
	}
	return sum
}

// Group are pods that end together.
type Group struct {
	Period
	Pods []*corev1.Pod
}

// Groups puts pods into periods; the first group ends first. A period without
// pods is not waited for.
func Groups(periods []Period, pods []*corev1.Pod) []Group {
	var groups []Group
	for _, p := range slices.SortedFunc(slices.Values(periods), func(a, b Period) int { return cmp.Compare(a.Priority, b.Priority) }) {
		groups = append(groups, Group{Period: p})
	}
	if len(groups) == 0 {
		return nil
	}
	for _, pod := range pods {
		at := 0
		for i := range groups {
			if schedule.Priority(pod) >= groups[i].Priority {
				at = i
			}
		}
		groups[at].Pods = append(groups[at].Pods, pod)
	}
	return slices.DeleteFunc(groups, func(g Group) bool { return len(g.Pods) == 0 })
}

// Wait is how long the group may take.
func (g Group) Wait() time.Duration { return time.Duration(g.Seconds) * time.Second }

// Kill is how a pod of the group ends: in its own time, if that is shorter.
func (g Group) Kill(pod *corev1.Pod) podsync.Kill {
	grace := g.Seconds
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
		grace = min(grace, *own)
	}
	return podsync.Kill{
		Phase: corev1.PodFailed, Reason: reason, Message: message, Grace: &grace,
		Condition: corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet, Message: message,
		},
	}
}
