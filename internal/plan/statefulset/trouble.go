package statefulset

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// trouble says what keeps a pod from being ready, whether it has been kept from
// starting at all, and whether that does not pass by itself.
func trouble(pod *corev1.Pod) (detail string, neverStarted, stuck bool) {
	neverStarted = pod.Status.Phase == corev1.PodPending
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			waiting := statuses[i].State.Waiting
			if waiting == nil || !blocks(waiting.Reason) {
				continue
			}
			return fmt.Sprintf("container %s in %s", statuses[i].Name, waiting.Reason), true, true
		}
	}
	if scheduled := condition(pod, corev1.PodScheduled); scheduled != nil && scheduled.Status == corev1.ConditionFalse {
		return "not scheduled: " + scheduled.Message, neverStarted, true
	}
	if pod.Status.Phase == corev1.PodRunning {
		for i := range pod.Status.ContainerStatuses {
			if !pod.Status.ContainerStatuses[i].Ready {
				return fmt.Sprintf("container %s is not ready", pod.Status.ContainerStatuses[i].Name), neverStarted, false
			}
		}
	}
	return "", neverStarted, false
}

// blocks reports whether a container that waits for this reason will not start
// as it is.
func blocks(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
		"RegistryUnavailable", "CrashLoopBackOff", "RunContainerError":
		return true
	}
	return strings.HasPrefix(reason, "CreateContainer")
}
