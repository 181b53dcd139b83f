package podspec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// sum adds up the pod as the scheduler does: containers and sidecars together,
// init containers by their peak, plus overhead.
func sum(pod *corev1.Pod) (requests, limits corev1.ResourceList) {
	return resource.PodRequests(pod, resource.PodResourcesOptions{}), resource.PodLimits(pod, resource.PodResourcesOptions{})
}
