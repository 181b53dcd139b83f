package replicaset

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// NewPod renders a pod of the set; the API server completes its name.
func NewPod(set *appsv1.ReplicaSet, owner metav1.OwnerReference) *corev1.Pod {
	template := &set.Spec.Template
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    prefix(set.Name),
			Namespace:       set.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     maps.Clone(template.Annotations),
			Finalizers:      slices.Clone(template.Finalizers),
			OwnerReferences: []metav1.OwnerReference{owner},
		},
		Spec: *template.Spec.DeepCopy(),
	}
}

// prefix separates the random part of the name with a dash where a name so long
// is still one.
func prefix(name string) string {
	if len(name) >= validation.DNS1123SubdomainMaxLength {
		return name
	}
	return name + "-"
}
