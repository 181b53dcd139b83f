// Package podtemplate makes the pod that a workload's template stands for.
package podtemplate

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Pod is a pod of the template, in the workload's namespace and named after it;
// the API server completes the name. It shares nothing with the template.
func Pod(workload metav1.Object, template *corev1.PodTemplateSpec, controller metav1.OwnerReference) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    prefix(workload.GetName()),
			Namespace:       workload.GetNamespace(),
			Labels:          maps.Clone(template.Labels),
			Annotations:     maps.Clone(template.Annotations),
			Finalizers:      slices.Clone(template.Finalizers),
			OwnerReferences: []metav1.OwnerReference{controller},
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
