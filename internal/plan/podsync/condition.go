package podsync

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ours are the conditions the node answers for, in upstream's order.
var ours = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

// Ours reports whether a condition is kept by the node alone.
func Ours(kind corev1.PodConditionType) bool {
	return slices.Contains(ours, kind) || kind == corev1.AllContainersRestarting || kind == corev1.PodResizeInProgress || kind == corev1.PodResizePending
}

// conditions are the pod's conditions: those of others as the API has them,
// then ours.
func (d *decision) conditions(s *corev1.PodStatus) []corev1.PodCondition {
	made := map[corev1.PodConditionType]corev1.PodCondition{
		corev1.PodReadyToStartContainers: {Status: truth(d.sandboxUp())},
		corev1.PodInitialized:            initialized(d.Pod, s),
		corev1.ContainersReady:           containersReady(d.Pod, s),
		corev1.PodScheduled:              {Status: corev1.ConditionTrue},
	}
	made[corev1.PodReady] = ready(d.Pod, made[corev1.ContainersReady])
	kinds := ours
	if d.couldRestartAll() {
		made[corev1.AllContainersRestarting] = d.restartingAll(s.Phase)
		kinds = append(slices.Clone(ours), corev1.AllContainersRestarting)
	}
	if d.Kill != nil && d.Kill.Condition.Type != "" {
		made[d.Kill.Condition.Type] = d.Kill.Condition
		kinds = append([]corev1.PodConditionType{d.Kill.Condition.Type}, kinds...)
	}

	resize := d.resizeConditions()
	for _, kind := range []corev1.PodConditionType{corev1.PodResizeInProgress, corev1.PodResizePending} {
		if c, ok := resize[kind]; ok {
			made[kind] = c
			kinds = append([]corev1.PodConditionType{kind}, kinds...)
		}
	}

	var out []corev1.PodCondition
	for _, c := range d.Pod.Status.Conditions {
		if _, mine := made[c.Type]; !mine && c.Type != corev1.PodResizePending && c.Type != corev1.PodResizeInProgress {
			out = append(out, c)
		}
	}
	for _, kind := range kinds {
		c := made[kind]
		c.Type = kind
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = d.Pod.Generation
		}
		c.LastTransitionTime = metav1.NewTime(d.Now).Rfc3339Copy()
		for _, before := range [][]corev1.PodCondition{d.known().Conditions, d.Pod.Status.Conditions} {
			if old := condition(before, kind); old != nil {
				if old.Status == c.Status {
					c.LastTransitionTime = old.LastTransitionTime
				}
				break
			}
		}
		out = append(out, c)
	}
	return out
}

func (d *decision) sandboxUp() bool {
	return d.sandbox != nil && d.sandbox.Ready && (d.Pod.Spec.HostNetwork || len(d.sandbox.IPs) > 0)
}

func condition(list []corev1.PodCondition, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}

func truth(b bool) corev1.ConditionStatus {
	if b {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func falseBecause(reason, message string) corev1.PodCondition {
	return corev1.PodCondition{Status: corev1.ConditionFalse, Reason: reason, Message: message}
}

func initialized(pod *corev1.Pod, s *corev1.PodStatus) corev1.PodCondition {
	var unknown, incomplete []string
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		st := find(s.InitContainerStatuses, c.Name)
		switch {
		case st == nil:
			unknown = append(unknown, c.Name)
		case IsSidecar(c) && (st.Started == nil || !*st.Started), !IsSidecar(c) && !st.Ready:
			incomplete = append(incomplete, c.Name)
		}
	}
	if s.Phase == corev1.PodSucceeded && len(unknown) == 0 {
		return corev1.PodCondition{Status: corev1.ConditionTrue, Reason: reasonPodCompleted}
	}
	for i := range s.ContainerStatuses {
		st := &s.ContainerStatuses[i]
		if st.State.Running != nil || st.State.Terminated != nil || st.LastTerminationState.Terminated != nil {
			return corev1.PodCondition{Status: corev1.ConditionTrue}
		}
	}
	if message := complaints(unknown, "incomplete", incomplete); message != "" {
		return falseBecause(reasonNotInitialized, message)
	}
	return corev1.PodCondition{Status: corev1.ConditionTrue}
}

func containersReady(pod *corev1.Pod, s *corev1.PodStatus) corev1.PodCondition {
	var unknown, unready []string
	check := func(list []corev1.ContainerStatus, name string) {
		switch st := find(list, name); {
		case st == nil:
			unknown = append(unknown, name)
		case !st.Ready:
			unready = append(unready, name)
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; IsSidecar(c) {
			check(s.InitContainerStatuses, c.Name)
		}
	}
	for i := range pod.Spec.Containers {
		check(s.ContainerStatuses, pod.Spec.Containers[i].Name)
	}
	switch message := complaints(unknown, "unready", unready); {
	case s.Phase == corev1.PodSucceeded && len(unknown) == 0:
		return falseBecause(reasonPodCompleted, "")
	case s.Phase == corev1.PodFailed:
		return falseBecause(reasonPodFailed, "")
	case message != "":
		return falseBecause(reasonNotReady, message)
	}
	return corev1.PodCondition{Status: corev1.ConditionTrue}
}

func complaints(unknown []string, what string, others []string) string {
	var parts []string
	if len(unknown) > 0 {
		parts = append(parts, fmt.Sprintf("containers with unknown status: %s", unknown))
	}
	if len(others) > 0 {
		parts = append(parts, fmt.Sprintf("containers with %s status: %s", what, others))
	}
	return strings.Join(parts, ", ")
}

// ready adds the readiness gates to the containers' readiness.
func ready(pod *corev1.Pod, containers corev1.PodCondition) corev1.PodCondition {
	if containers.Status != corev1.ConditionTrue {
		return containers
	}
	var missing []string
	for _, gate := range pod.Spec.ReadinessGates {
		switch c := condition(pod.Status.Conditions, gate.ConditionType); {
		case c == nil:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", string(gate.ConditionType)))
		case c.Status != corev1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", string(gate.ConditionType), c.Status))
		}
	}
	if len(missing) > 0 {
		return falseBecause(reasonGatesNotReady, strings.Join(missing, ", "))
	}
	return corev1.PodCondition{Status: corev1.ConditionTrue}
}
