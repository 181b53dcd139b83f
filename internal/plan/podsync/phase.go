package podsync

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// phase sums up the container statuses as upstream's getPhase does. over means
// that nothing will run again whatever the restart policy says.
func (d *decision) phase(initial, regular []corev1.ContainerStatus, over bool) corev1.PodPhase {
	pod := d.Pod
	pendingInit, failedInit, lostInit, begun := 0, 0, 0, false
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if IsSidecar(c) {
			continue
		}
		switch s := find(initial, c.Name); {
		case s == nil, s.State.Running != nil:
			pendingInit++
		case s.State.Terminated != nil:
			if s.State.Terminated.ExitCode != 0 {
				failedInit++
				if !d.runsAgain(c, s.State.Terminated, true) {
					lostInit++
				}
			}
		case s.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated.ExitCode != 0:
			failedInit++
		default:
			pendingInit++
		}
	}

	unknown, running, waiting, stopped, succeeded := 0, 0, 0, 0, 0
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if !IsSidecar(c) {
			continue
		}
		switch s := find(initial, c.Name); {
		case s == nil:
			unknown++
		case s.State.Running != nil:
			if s.Started == nil || !*s.Started {
				pendingInit++
			}
			running++
		case s.State.Waiting != nil && s.LastTerminationState.Terminated == nil:
			pendingInit++
			waiting++
		}
	}
	for i := range pod.Spec.Containers {
		switch s := find(regular, pod.Spec.Containers[i].Name); {
		case s == nil:
			unknown++
		case s.State.Running != nil:
			running, begun = running+1, true
		case s.State.Terminated != nil:
			stopped, begun = stopped+1, true
			if s.State.Terminated.ExitCode == 0 {
				succeeded++
			}
		case s.LastTerminationState.Terminated != nil:
			stopped, begun = stopped+1, true
		default:
			waiting++
		}
	}

	switch {
	case lostInit > 0:
		return corev1.PodFailed
	case !over && d.beginsAgain():
		return corev1.PodPending
	case (pendingInit > 0 || failedInit > 0) && !begun && !over:
		return corev1.PodPending
	case over && running == 0:
		if stopped > 0 && stopped == succeeded && waiting == 0 && failedInit == 0 {
			return corev1.PodSucceeded
		}
		return corev1.PodFailed
	case waiting > 0:
		return corev1.PodPending
	case running > 0 && unknown == 0:
		return corev1.PodRunning
	case running == 0 && stopped > 0 && unknown == 0:
		return d.stoppedPhase(regular, stopped == succeeded)
	default:
		return corev1.PodPending
	}
}

// stoppedPhase is the phase of a pod whose regular containers have all ended.
func (d *decision) stoppedPhase(regular []corev1.ContainerStatus, allSucceeded bool) corev1.PodPhase {
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		s := find(regular, c.Name)
		ended := s.State.Terminated
		if ended == nil {
			ended = s.LastTerminationState.Terminated
		}
		if ended == nil || d.runsAgain(c, ended, false) {
			return corev1.PodRunning
		}
	}
	if allSucceeded {
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

// runsAgain is restarts for a container as its status shows it.
func (d *decision) runsAgain(c *corev1.Container, ended *corev1.ContainerStateTerminated, initial bool) bool {
	id := strings.TrimPrefix(ended.ContainerID, d.Node.Runtime+"://")
	return d.restarts(c, &Container{ID: id, ExitCode: ended.ExitCode}, initial)
}

func find(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}
