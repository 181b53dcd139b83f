package nodelife

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/toleration"
)

// Stay is how long a pod with these tolerations may stay on a node with these
// taints once it is seen there; forever says that no taint drives it out.
func Stay(tolerations []corev1.Toleration, taints []corev1.Taint) (limit time.Duration, forever bool) {
	forever = true
	for i := range taints {
		if taints[i].Effect != corev1.TaintEffectNoExecute {
			continue
		}
		j := slices.IndexFunc(tolerations, func(t corev1.Toleration) bool { return toleration.Tolerates(&t, &taints[i]) })
		if j < 0 {
			return 0, false
		}
		seconds := tolerations[j].TolerationSeconds
		if seconds == nil {
			continue
		}
		if d := time.Duration(max(*seconds, 0)) * time.Second; forever || d < limit {
			limit, forever = d, false
		}
	}
	return limit, forever
}

// OutOfService reports whether somebody has said that the node is down for good:
// what is still there need not be waited for.
func OutOfService(node *corev1.Node) bool {
	return Ready(node.Status.Conditions) != corev1.ConditionTrue &&
		slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}
