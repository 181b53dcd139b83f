package defaults

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func requirements(r *corev1.ResourceRequirements) {
	resourceList(r.Limits)
	resourceList(r.Requests)
}

// resourceList rounds what is finer than a thousandth up.
func resourceList(l corev1.ResourceList) {
	for name, q := range l {
		if !q.RoundUp(resource.Milli) {
			l[name] = q
		}
	}
}

func isHugePage(n corev1.ResourceName) bool {
	return strings.HasPrefix(string(n), corev1.ResourceHugePagesPrefix)
}

// fillFrom copies those entries of src that dst lacks and that take allows.
func fillFrom(dst, src corev1.ResourceList, take func(corev1.ResourceName) bool) {
	for name, q := range src {
		if _, ok := dst[name]; !ok && take(name) {
			dst[name] = q.DeepCopy()
		}
	}
}
