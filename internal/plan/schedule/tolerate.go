package schedule

import (
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/toleration"
)

func toleratesUnschedulable(tolerations []corev1.Toleration) bool {
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	return toleration.Any(tolerations, &taint)
}

// untolerated is the first taint that keeps the pod away.
func untolerated(tolerations []corev1.Toleration, taints []corev1.Taint) *corev1.Taint {
	return toleration.Untolerated(tolerations, taints, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute)
}
