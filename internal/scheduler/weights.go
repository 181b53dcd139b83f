package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/schedule"
)

// weights are what pods took of their nodes when they were last weighed.
type weights map[types.UID]weighed

type weighed struct {
	pod *corev1.Pod // as it was: the cache replaces a pod that changes
	schedule.Weight
}

// weigh does so again only when the pod is another object than before.
func (w weights) weigh(pod *corev1.Pod) schedule.Weight {
	known, ok := w[pod.UID]
	if !ok || known.pod != pod {
		known = weighed{pod: pod, Weight: schedule.Weigh(pod)}
		w[pod.UID] = known
	}
	return known.Weight
}

// trim forgets all when most of it is of pods that are gone.
func (w weights) trim(pods int) {
	const spare = 100
	if len(w) > 2*pods+spare {
		clear(w)
	}
}
