package inplace

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// StateAnnotation is how a pod remembers what an update in place began from.
const StateAnnotation = "berth.dev/in-place-state"

// state is what StateAnnotation holds: the IDs that the containers whose image
// was changed had before.
type state struct {
	Revision   string            `json:"revision"`
	Containers map[string]string `json:"containers,omitempty"`
}

// Resize gives the pod's containers the resources of a template; resized is
// false when they have them.
func Resize(pod *corev1.Pod, to *corev1.PodTemplateSpec) (resized bool) {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		for _, want := range to.Spec.Containers {
			if want.Name == c.Name && !equality.Semantic.DeepEqual(c.Resources, want.Resources) {
				c.Resources = *want.Resources.DeepCopy()
				resized = true
			}
		}
	}
	return resized
}

// Apply gives a pod of one template what another has else: images, labels and
// annotations, and the label of the revision it is of from then on. Labels and annotations
// that neither template knows stay.
func Apply(pod *corev1.Pod, from, to *corev1.PodTemplateSpec, revision string) error {
	began := state{Revision: revision, Containers: map[string]string{}}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		for _, want := range to.Spec.Containers {
			if want.Name == c.Name && want.Image != c.Image {
				c.Image = want.Image
				began.Containers[c.Name] = containerID(pod, c.Name)
			}
		}
	}
	pod.Labels = merged(pod.Labels, from.Labels, to.Labels)
	pod.Annotations = merged(pod.Annotations, from.Annotations, to.Annotations)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	text, err := json.Marshal(began)
	pod.Annotations[StateAnnotation] = string(text)
	return err
}

func merged(have, from, to map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range have {
		if _, ours := from[key]; !ours {
			out[key] = value
		}
	}
	for key, value := range to {
		out[key] = value
	}
	return out
}

func containerID(pod *corev1.Pod, name string) string {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == name {
			return pod.Status.ContainerStatuses[i].ContainerID
		}
	}
	return ""
}

// Pending says what an update of the pod in place still waits for, "" when it is
// complete or there was none; stuck means that it does not pass by itself. The
// containers themselves are the measure: each whose image was changed has to
// run as another container than before, whatever image it reports.
func Pending(pod *corev1.Pod) (what string, stuck bool) {
	text, given := pod.Annotations[StateAnnotation]
	if !given {
		return "", false
	}
	var began state
	if json.Unmarshal([]byte(text), &began) != nil || began.Revision != pod.Labels[appsv1.ControllerRevisionHashLabelKey] {
		return "", false
	}
	for i := range pod.Spec.Containers {
		name := pod.Spec.Containers[i].Name
		before, changed := began.Containers[name]
		if changed && !restarted(pod, name, before) {
			return fmt.Sprintf("container %s is being updated in place", name), false
		}
	}
	if seen := pod.Status.ObservedGeneration; seen > 0 && seen < pod.Generation {
		return "the node has not seen its update in place yet", false
	}
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == corev1.PodResizePending || c.Type == corev1.PodResizeInProgress) {
			return fmt.Sprintf("its resize is not done: %s %s", c.Reason, c.Message), c.Reason == corev1.PodReasonInfeasible
		}
	}
	return "", false
}

func restarted(pod *corev1.Pod, name, before string) bool {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == name {
			return s.ContainerID != before && s.State.Running != nil
		}
	}
	return false
}

// Resizable reports whether the resources of a pod on its way between two
// templates can change: they do not have to, or its node reports what running
// containers have.
func Resizable(pod *corev1.Pod, to *corev1.PodTemplateSpec) bool {
	if !Resize(pod.DeepCopy(), to) {
		return true
	}
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.State.Running != nil && s.Resources == nil {
			return false
		}
	}
	return true
}
