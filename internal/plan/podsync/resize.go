package podsync

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Resize is how far a change of a pod's resources is.
type Resize struct {
	// Pending is why the node has not given the pod what it asks for.
	Pending *ResizeState
	// Progress is set from when it was given until the containers have it; its
	// reason is empty unless that failed.
	Progress *ResizeState
}

// ResizeState is what one of the two conditions says.
type ResizeState struct {
	Reason     string
	Message    string
	Generation int64
}

// resize brings a running container to the resources the pod was given.
func (d *decision) resize(c *corev1.Container, cur *Container) {
	if !differs(c, cur) || d.Busy.Resizes[cur.ID] {
		return
	}
	if _, stopping := d.Busy.Stops[cur.ID]; stopping {
		return
	}
	if restartsForResize(c, cur.Resources) {
		d.stop(cur, d.grace(), Resized, fmt.Sprintf("Container %s resize requires restart", c.Name))
		return
	}
	if !d.waits(resizeKey(cur.ID)) {
		d.do(Action{Kind: ResizeContainer, Why: Resized, Container: c.Name, ID: cur.ID})
	}
}

// resizeKey names a resize in Waits.
func resizeKey(id string) string { return "resize " + id }

// ResizeKey names the resize of a container in Waits.
func ResizeKey(id string) string { return resizeKey(id) }

func differs(c *corev1.Container, cur *Container) bool {
	return cur.Phase == Running && cur.Resources != nil && !equality.Semantic.DeepEqual(*cur.Resources, c.Resources)
}

// restartsForResize is true when a resource changes for which the container
// asked to be restarted.
func restartsForResize(c *corev1.Container, from *corev1.ResourceRequirements) bool {
	for _, p := range c.ResizePolicy {
		if p.RestartPolicy != corev1.RestartContainer {
			continue
		}
		for _, pair := range [][2]corev1.ResourceList{{from.Requests, c.Resources.Requests}, {from.Limits, c.Resources.Limits}} {
			before, after := pair[0][p.ResourceName], pair[1][p.ResourceName]
			if before.Cmp(after) != 0 {
				return true
			}
		}
	}
	return false
}

// resized is true when no running container has other resources than it should.
func (d *decision) resized() bool {
	for _, list := range [][]corev1.Container{d.Pod.Spec.InitContainers, d.Pod.Spec.Containers} {
		for i := range list {
			if cur := d.current[list[i].Name]; cur != nil && differs(&list[i], cur) {
				return false
			}
		}
	}
	return true
}

// resizeConditions are those of a resize that is not done.
func (d *decision) resizeConditions() map[corev1.PodConditionType]corev1.PodCondition {
	out := map[corev1.PodConditionType]corev1.PodCondition{}
	add := func(kind corev1.PodConditionType, s *ResizeState) {
		if s != nil {
			out[kind] = corev1.PodCondition{Status: corev1.ConditionTrue, Reason: s.Reason, Message: s.Message, ObservedGeneration: s.Generation}
		}
	}
	add(corev1.PodResizePending, d.Resize.Pending)
	if !d.plan.Resized {
		add(corev1.PodResizeInProgress, d.Resize.Progress)
	}
	return out
}
