package admit

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/schedule"
)

// lack is how much of a resource is missing.
type lack struct {
	name   corev1.ResourceName
	amount int64
}

// Preempt names the pods that have to go so that a critical pod, which lacks
// nothing but resources, can be taken. Few go, and of these rather those that
// were promised little: best effort before burstable before guaranteed.
func Preempt(node Node, pod *corev1.Pod, others []*corev1.Pod) ([]*corev1.Pod, *Refusal) {
	if r := predicates(node.Object, pod, others); r != nil {
		return nil, r
	}
	missing := lacks(node.Object, pod, others)
	classes := map[corev1.PodQOSClass][]*corev1.Pod{}
	for _, other := range others {
		if preemptable(pod, other) {
			class := podspec.QOS(other)
			classes[class] = append(classes[class], other)
		}
	}
	best, burst, guaranteed := classes[corev1.PodQOSBestEffort], classes[corev1.PodQOSBurstable], classes[corev1.PodQOSGuaranteed]
	if left := without(missing, slices.Concat(best, burst, guaranteed)); len(left) > 0 {
		return nil, &Refusal{
			Reason: "UnexpectedAdmissionError",
			Message: "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: " +
				"no set of running pods found to reclaim resources: " + text(left),
		}
	}
	lastly := nearest(guaranteed, without(missing, slices.Concat(best, burst)))
	next := nearest(burst, without(missing, slices.Concat(best, lastly)))
	first := nearest(best, without(missing, slices.Concat(next, lastly)))
	return slices.Concat(first, next, lastly), nil
}

// Preempted is how such a pod ends.
func Preempted() podsync.Kill {
	return podsync.Kill{
		Phase: corev1.PodFailed, Reason: "Preempting", Message: "Preempted in order to admit critical pod",
		Condition: corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet,
			Message: "Pod was preempted by Kubelet to accommodate a critical pod.",
		},
	}
}

func preemptable(by, pod *corev1.Pod) bool {
	return Critical(by) && !Critical(pod) || schedule.Priority(by) > schedule.Priority(pod)
}

// lacks is what is missing of every resource.
func lacks(node *corev1.Node, pod *corev1.Pod, others []*corev1.Pod) []lack {
	var out []lack
	for _, s := range shortages(node, pod, others) {
		out = append(out, lack{s.name, s.want - (s.most - s.used)})
	}
	return out
}

// has is how much of a resource a pod gives back.
func has(pod *corev1.Pod, name corev1.ResourceName) int64 {
	if name == corev1.ResourcePods {
		return 1
	}
	return requests(pod)[name]
}

// without is what is still missing when these pods are gone.
func without(missing []lack, pods []*corev1.Pod) []lack {
	var left []lack
	for _, l := range missing {
		for _, p := range pods {
			l.amount -= has(p, l.name)
		}
		if l.amount > 0 {
			left = append(left, l)
		}
	}
	return left
}

// nearest picks pods until nothing is missing: each time the one that leaves
// least to be found, and of two of these the smaller.
func nearest(pods []*corev1.Pod, missing []lack) []*corev1.Pod {
	pods = slices.Clone(pods)
	var out []*corev1.Pod
	for len(missing) > 0 && len(pods) > 0 {
		at, least := 0, float64(len(missing)+1)
		for i, p := range pods {
			if d := distance(missing, p); d < least || d == least && smaller(p, pods[at]) {
				at, least = i, d
			}
		}
		missing = without(missing, pods[at:at+1])
		out = append(out, pods[at])
		pods = slices.Delete(pods, at, at+1)
	}
	return out
}

// distance is how far a pod alone is from what is missing: each resource weighs
// the same.
func distance(missing []lack, pod *corev1.Pod) float64 {
	sum := 0.0
	for _, l := range missing {
		if left := float64(l.amount - has(pod, l.name)); left > 0 {
			sum += left / float64(l.amount) * left / float64(l.amount)
		}
	}
	return sum
}

func smaller(a, b *corev1.Pod) bool {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceCPU} {
		if x, y := has(a, name), has(b, name); x != y {
			return x < y
		}
	}
	return true
}

func text(missing []lack) string {
	var b strings.Builder
	for _, l := range missing {
		fmt.Fprintf(&b, "(res: %v, q: %d), ", l.name, l.amount)
	}
	return "[" + b.String() + "]"
}
