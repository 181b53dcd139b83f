package deployment

import (
	"math"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// bounds are how many pods a rollout may have beyond the wanted number, rounded
// up, and how many of it may be unavailable, rounded down. Both cannot be 0.
func bounds(d *appsv1.Deployment) (surge, unavailable int) {
	replicas := int(ptr.Deref(d.Spec.Replicas, 1))
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return 0, 0
	}
	if rolling := d.Spec.Strategy.RollingUpdate; rolling != nil {
		surge = scaled(rolling.MaxSurge, replicas, true)
		unavailable = scaled(rolling.MaxUnavailable, replicas, false)
	}
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, replicas)
}

func scaled(value *intstr.IntOrString, replicas int, up bool) int {
	if value == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(value, replicas, up)
	if err != nil {
		return 0 // the API accepts no such value
	}
	return max(n, 0)
}

// hasDeadline reports whether progress is watched.
func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

// historyLimit is how many old sets are kept, -1 for all.
func historyLimit(d *appsv1.Deployment) int {
	if d.Spec.RevisionHistoryLimit == nil || *d.Spec.RevisionHistoryLimit == math.MaxInt32 {
		return -1
	}
	return int(*d.Spec.RevisionHistoryLimit)
}
