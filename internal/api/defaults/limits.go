package defaults

import corev1 "k8s.io/api/core/v1"

// LimitRange fills what a LimitRange leaves open: a container's default limit
// is its maximum, its default request that limit, or else its minimum.
func LimitRange(l *corev1.LimitRange) {
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		if item.Type == corev1.LimitTypeContainer {
			if item.Default == nil {
				item.Default = corev1.ResourceList{}
			}
			if item.DefaultRequest == nil {
				item.DefaultRequest = corev1.ResourceList{}
			}
			every := func(corev1.ResourceName) bool { return true }
			fillFrom(item.Default, item.Max, every)
			fillFrom(item.DefaultRequest, item.Default, every)
			fillFrom(item.DefaultRequest, item.Min, every)
		}
		for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
			resourceList(list)
		}
	}
}

// ResourceQuota rounds what is finer than a thousandth.
func ResourceQuota(q *corev1.ResourceQuota) {
	resourceList(q.Spec.Hard)
	resourceList(q.Status.Hard)
	resourceList(q.Status.Used)
}
