package replicaset

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/podready"
)

// surplus are the n pods that are missed least, in the order of upstream: those
// without a node, those further from running, those not ready, those of a lower
// deletion cost, those that share their node with more of their kind, those
// ready for a shorter time, those restarted more often, the younger ones. Times
// are compared by their order of magnitude, and pods of the same one by UID.
func surplus(pods, related []*corev1.Pod, n int, now time.Time) []*corev1.Pod {
	if n >= len(pods) {
		return pods
	}
	onNode := map[string]int{}
	for _, pod := range related {
		if podready.Active(pod) {
			onNode[pod.Spec.NodeName]++
		}
	}
	ranked := slices.SortedFunc(slices.Values(pods), func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(ranked, func(a, b *corev1.Pod) int {
		return cmp.Or(
			before(a.Spec.NodeName == "", b.Spec.NodeName == ""),
			cmp.Compare(progress(a), progress(b)),
			before(!podready.Ready(a), !podready.Ready(b)),
			cmp.Compare(deletionCost(a), deletionCost(b)),
			cmp.Compare(onNode[b.Spec.NodeName], onNode[a.Spec.NodeName]),
			younger(a, b, readySince(a), readySince(b), now),
			byRestarts(a, b),
			younger(a, b, a.CreationTimestamp, b.CreationTimestamp, now),
		)
	})
	return ranked[:n]
}

// before puts what is so before what is not.
func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// progress orders phases by how much is lost with the pod.
func progress(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodUnknown:
		return 1
	case corev1.PodRunning:
		return 2
	}
	return 0
}

// deletionCost is what the pod's annotation says; what is no whole number, or
// not written as one would write it, says nothing.
func deletionCost(pod *corev1.Pod) int32 {
	text := pod.Annotations[corev1.PodDeletionCost]
	cost, err := strconv.ParseInt(text, 10, 32)
	if err != nil || strconv.FormatInt(cost, 10) != text {
		return 0
	}
	return int32(cost)
}

// readySince is when a ready pod became so; the zero time when it is not ready.
func readySince(pod *corev1.Pod) metav1.Time {
	if c := podready.Condition(pod, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime
	}
	return metav1.Time{}
}

// younger puts the later of two times first, no time before any.
func younger(a, b *corev1.Pod, at, bt metav1.Time, now time.Time) int {
	switch {
	case at.Equal(&bt):
		return 0
	case at.IsZero() || bt.IsZero():
		return before(at.IsZero(), bt.IsZero())
	}
	return cmp.Or(cmp.Compare(magnitude(now.Sub(at.Time)), magnitude(now.Sub(bt.Time))), strings.Compare(string(a.UID), string(b.UID)))
}

// magnitude is the binary order of magnitude of an age, -1 for none.
func magnitude(age time.Duration) int64 {
	if age <= 0 {
		return -1
	}
	return int64(math.Log2(float64(age)))
}

// byRestarts looks at the containers first and at sidecars when these tell nothing.
func byRestarts(a, b *corev1.Pod) int {
	ac, as := restarts(a)
	bc, bs := restarts(b)
	return cmp.Or(cmp.Compare(bc, ac), cmp.Compare(bs, as))
}

// restarts are the most that any container, and any sidecar, has had.
func restarts(pod *corev1.Pod) (container, sidecar int32) {
	for i := range pod.Status.ContainerStatuses {
		container = max(container, pod.Status.ContainerStatuses[i].RestartCount)
	}
	for i := range pod.Spec.InitContainers {
		init := &pod.Spec.InitContainers[i]
		if init.RestartPolicy == nil || *init.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		for j := range pod.Status.InitContainerStatuses {
			if status := &pod.Status.InitContainerStatuses[j]; status.Name == init.Name {
				sidecar = max(sidecar, status.RestartCount)
			}
		}
	}
	return container, sidecar
}
