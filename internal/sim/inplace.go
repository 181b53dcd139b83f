package sim

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// restarting reports whether a container of a running pod is not of the image
// that its spec asks for.
func restarting(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Image != pod.Spec.Containers[i].Image {
			return true
		}
	}
	return false
}

// restartContainer replaces containers in place: at first the pod is not ready,
// and what cannot be started is not.
func (s *Sim) restartContainer(n *node, pod *corev1.Pod) {
	s.log("%s: restarts %s in place", n.name, pod.Name)
	next := pod.DeepCopy()
	state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	if why := blockedBy(pod); why != "" {
		state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: why}}
	}
	next.Status.ContainerStatuses = containers(next, state)
	for i := range next.Status.ContainerStatuses {
		next.Status.ContainerStatuses[i].RestartCount = pod.Status.ContainerStatuses[i].RestartCount + 1
	}
	next.Status.ObservedGeneration = next.Generation
	setCondition(next, corev1.PodReady, corev1.ConditionFalse, s.clock.Now())
	s.putStatus(next)
}

// resizing reports whether running containers have other resources than asked for.
func resizing(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		have := pod.Status.ContainerStatuses[i].Resources
		if have != nil && !equality.Semantic.DeepEqual(*have, pod.Spec.Containers[i].Resources) {
			return true
		}
	}
	return false
}

func (s *Sim) resize(n *node, pod *corev1.Pod) {
	s.log("%s: resizes %s", n.name, pod.Name)
	next := pod.DeepCopy()
	for i := range next.Status.ContainerStatuses {
		next.Status.ContainerStatuses[i].Resources = next.Spec.Containers[i].Resources.DeepCopy()
	}
	next.Status.ObservedGeneration = next.Generation
	s.putStatus(next)
}

// resized is old with the resources that the resize subresource may change.
func resized(old, asked *corev1.Pod) *corev1.Pod {
	next := old.DeepCopy()
	for i := range next.Spec.Containers {
		next.Spec.Containers[i].Resources = *asked.Spec.Containers[i].Resources.DeepCopy()
	}
	if !equality.Semantic.DeepEqual(old.Spec, next.Spec) {
		next.Generation++
	}
	return next
}
