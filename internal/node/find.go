package node

import (
	"fmt"
	"strings"

	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
)

// FindContainer returns the ID and the log file of a pod's container, or of the
// run before it. The error says why there is none, in upstream's words.
func (a *Agent) FindContainer(podNamespace, podName, containerName string, previous bool) (containerID, logPath string, err error) {
	var w *worker
	var pod *corev1.Pod
	for _, candidate := range a.all() {
		p := candidate.latest()
		if p == nil || p.Namespace != podNamespace || p.Name != podName {
			continue
		}
		if pod == nil || p.CreationTimestamp.After(pod.CreationTimestamp.Time) {
			w, pod = candidate, p
		}
	}
	if pod == nil {
		return "", "", fmt.Errorf("pod %q not found", podName)
	}
	st := statusOf(pod, containerName)
	if st == nil {
		return "", "", fmt.Errorf("container %q not found in pod %q", containerName, podName)
	}
	full, err := choose(st, podName, previous)
	if err != nil {
		return "", "", err
	}
	_, id, _ := strings.Cut(full, "://")
	w.mu.Lock()
	defer w.mu.Unlock()
	return id, w.containers[id].LogPath, nil
}

func statusOf(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// choose picks the run that is asked for.
func choose(st *corev1.ContainerStatus, podName string, previous bool) (string, error) {
	last := ""
	if t := st.LastTerminationState.Terminated; t != nil {
		last = t.ContainerID
	}
	switch {
	case previous && last == "":
		return "", fmt.Errorf("previous terminated container %q in pod %q not found", st.Name, podName)
	case previous:
		return last, nil
	case st.State.Running != nil:
		return st.ContainerID, nil
	case st.State.Terminated != nil && st.State.Terminated.ContainerID != "":
		return st.State.Terminated.ContainerID, nil
	case last != "":
		return last, nil
	case st.State.Waiting != nil:
		return "", waitingError(st.Name, podName, st.State.Waiting.Reason)
	}
	return "", fmt.Errorf("container %q in pod %q is waiting to start - no logs yet", st.Name, podName)
}

func waitingError(container, pod, reason string) error {
	switch reason {
	case podsync.ErrImagePull:
		return fmt.Errorf("container %q in pod %q is waiting to start: image can't be pulled", container, pod)
	case podsync.ImagePullBackOff:
		return fmt.Errorf("container %q in pod %q is waiting to start: trying and failing to pull image", container, pod)
	default:
		return fmt.Errorf("container %q in pod %q is waiting to start: %v", container, pod, reason)
	}
}
