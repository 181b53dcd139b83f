package sim

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// unanswered reports whether the pod's node is asked for images and has not said
// how that went.
func unanswered(pod *corev1.Pod) bool {
	asked, ok := options.PullAsked(pod)
	if !ok {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == options.ImagesPulled {
			return c.Reason != options.PullAnswer(asked.Images)
		}
	}
	return true
}

// pullImages is a node that pulls what it is asked for, but for images called "bad".
func (s *Sim) pullImages(n *node, pod *corev1.Pod) {
	asked, _ := options.PullAsked(pod)
	list := options.PullAnswer(asked.Images)
	s.log("%s: pulls %s for %s", n.name, list, pod.Name)
	c := corev1.PodCondition{Type: options.ImagesPulled, Status: corev1.ConditionTrue, Reason: list, Message: list, LastTransitionTime: metav1.NewTime(s.clock.Now())}
	if strings.Contains(list, "bad") {
		c.Status, c.Message = corev1.ConditionFalse, list+": not found"
	}
	next := pod.DeepCopy()
	for i := range next.Status.Conditions {
		if next.Status.Conditions[i].Type == c.Type {
			next.Status.Conditions[i] = c
			s.putStatus(next)
			return
		}
	}
	next.Status.Conditions = append(next.Status.Conditions, c)
	s.putStatus(next)
}
