package admit

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/schedule"
)

// Tally is what the pods of a node take together. It is brought up to date pod by
// pod, so that one that comes need not be held against each of the others.
type Tally struct {
	pods  map[types.UID]share
	used  map[corev1.ResourceName]int64
	ports map[types.UID]*corev1.Pod // those that have ports of the node
}

// share is what one pod takes.
type share struct {
	pod  *corev1.Pod
	asks map[corev1.ResourceName]int64
}

// NewTally counts pods.
func NewTally(pods ...*corev1.Pod) *Tally {
	t := &Tally{pods: map[types.UID]share{}, used: map[corev1.ResourceName]int64{}, ports: map[types.UID]*corev1.Pod{}}
	for _, pod := range pods {
		t.Set(pod.UID, pod)
	}
	return t
}

// Set counts a pod as it is now; one that is counted as it is costs nothing.
func (t *Tally) Set(uid types.UID, pod *corev1.Pod) {
	if t.pods[uid].pod == pod {
		return
	}
	t.Drop(uid)
	asks := requests(pod)
	t.pods[uid] = share{pod, asks}
	for name, n := range asks {
		t.used[name] += n
	}
	if schedule.HasHostPorts(pod) {
		t.ports[uid] = pod
	}
}

// Drop counts a pod no more.
func (t *Tally) Drop(uid types.UID) {
	for name, n := range t.pods[uid].asks {
		t.used[name] -= n
	}
	delete(t.pods, uid)
	delete(t.ports, uid)
}

// Beside says why the node does not take a pod, which is not counted, beside
// those that are; nil when it does.
func (t *Tally) Beside(node Node, pod *corev1.Pod) *Refusal {
	if r := alone(node, pod); r != nil {
		return r
	}
	if list := t.shortages(node.Object, pod); len(list) > 0 {
		return list[0].refusal()
	}
	var others []*corev1.Pod
	for other := range maps.Values(t.ports) {
		others = append(others, other)
	}
	return predicates(node.Object, pod, others)
}
