package server

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// StatusPods answers for containers from the pods' status alone; an agent that
// knows nothing better may use it as its Pods.
type StatusPods func() []*corev1.Pod

// Pods returns the pods.
func (p StatusPods) Pods() []*corev1.Pod { return p() }

// FindContainer reads the container's id from the pod's status.
func (p StatusPods) FindContainer(podNamespace, podName, containerName string, previous bool) (containerID, logPath string, err error) {
	for _, pod := range p() {
		if pod.Namespace == podNamespace && pod.Name == podName {
			id, err := ContainerID(pod, containerName, previous)
			return id, "", err
		}
	}
	return "", "", fmt.Errorf("pod %q cannot be found - no logs available", podName)
}

// ContainerID returns the id of the container whose log is asked for, or why
// there is no log, in upstream's words.
func ContainerID(pod *corev1.Pod, container string, previous bool) (string, error) {
	no := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("container %q in pod %q "+format, append([]any{container, pod.Name}, args...)...)
	}
	status := statusOf(pod, container)
	if status == nil {
		return no("is not available")
	}
	state, last := status.State, status.LastTerminationState.Terminated
	lastID := ""
	if last != nil {
		lastID = last.ContainerID
	}
	switch {
	case previous:
		if lastID == "" {
			return "", fmt.Errorf("previous terminated container %q in pod %q not found", container, pod.Name)
		}
		return bareID(lastID), nil
	case state.Running != nil:
		return bareID(status.ContainerID), nil
	case state.Terminated != nil && state.Terminated.ContainerID != "":
		return bareID(state.Terminated.ContainerID), nil
	case lastID != "":
		return bareID(lastID), nil
	case state.Terminated != nil, last != nil:
		return no("is terminated")
	case state.Waiting != nil:
		switch reason := state.Waiting.Reason; reason {
		case "ErrImagePull":
			return no("is waiting to start: image can't be pulled")
		case "ImagePullBackOff":
			return no("is waiting to start: trying and failing to pull image")
		default:
			return no("is waiting to start: %v", reason)
		}
	}
	return no("is waiting to start - no logs yet")
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if list[i].Name == container {
				return &list[i]
			}
		}
	}
	return nil
}

// hasContainer tells whether the pod's spec names the container.
func hasContainer(pod *corev1.Pod, container string) bool {
	for _, c := range pod.Spec.Containers {
		if c.Name == container {
			return true
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.Name == container {
			return true
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if c.Name == container {
			return true
		}
	}
	return false
}

// bareID drops the runtime's name from "containerd://ID".
func bareID(id string) string {
	if _, bare, ok := strings.Cut(id, "://"); ok {
		return bare
	}
	return id
}
