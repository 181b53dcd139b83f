// Package podgc says which of the pods that have ended are too many.
package podgc

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Surplus are the pods to delete so that no more than keep of those that have
// ended are left, in this order: evicted ones, then the oldest. keep 0 keeps all.
func Surplus(ended []*corev1.Pod, keep int) []*corev1.Pod {
	if keep <= 0 || len(ended) <= keep {
		return nil
	}
	ended = slices.Clone(ended)
	slices.SortFunc(ended, func(a, b *corev1.Pod) int {
		if x, y := evicted(a), evicted(b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			strings.Compare(a.Name, b.Name),
			strings.Compare(a.Namespace, b.Namespace),
		)
	})
	return ended[:len(ended)-keep]
}

// evicted reports whether the pod's node ended it for want of resources: it
// never did its work, and nobody asks for its log.
func evicted(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == "Evicted"
}
