package replicaset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/podtemplate"
)

// NewPod renders a pod of the set; the API server completes its name.
func NewPod(set *appsv1.ReplicaSet, owner metav1.OwnerReference) *corev1.Pod {
	return podtemplate.Pod(set, &set.Spec.Template, owner)
}
