package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/podtemplate"
)

// HashLabel names the revision that a pod was made of.
const HashLabel = appsv1.DefaultDaemonSetUniqueLabelKey

// generationLabel is where older releases wrote the number of the template.
const generationLabel = "pod-template-generation"

// NewPod renders the pod of a node; the API server completes its name.
func NewPod(set *appsv1.DaemonSet, node, hash string, owner metav1.OwnerReference) *corev1.Pod {
	pod := podtemplate.Pod(set, &set.Spec.Template, owner)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[HashLabel] = hash
	if generation, known := templateGeneration(set); known {
		pod.Labels[generationLabel] = generation
	}
	pod.Spec.Tolerations = tolerations(&pod.Spec)
	pod.Spec.Affinity = pinned(pod.Spec.Affinity, node)
	return pod
}
