package nodelife

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func node(ready corev1.ConditionStatus, taints ...corev1.Taint) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	if ready != "" {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	}
	n.Spec.Taints = taints
	return n
}

func TestDecide(t *testing.T) {
	notReady := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	own := corev1.Taint{Key: "mine", Value: "x", Effect: corev1.TaintEffectNoSchedule}
	cordoned := node(corev1.ConditionTrue)
	cordoned.Spec.Unschedulable = true
	pressed := node(corev1.ConditionTrue)
	pressed.Status.Conditions = append(pressed.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue})
	cases := map[string]struct {
		state  State
		lost   bool
		taints string
		again  time.Duration
	}{
		"healthy":             {state: State{Node: node(corev1.ConditionTrue), Heard: now}, again: Grace},
		"becomes ready":       {state: State{Node: node(corev1.ConditionTrue, notReady, own), Heard: now}, taints: "mine:NoSchedule", again: Grace},
		"just registered":     {state: State{Node: node(""), Known: now}, taints: "node.kubernetes.io/not-ready:NoSchedule", again: Startup},
		"never heard":         {state: State{Node: node(""), Known: now.Add(-Startup)}, lost: true, taints: "node.kubernetes.io/unreachable:NoExecute node.kubernetes.io/unreachable:NoSchedule"},
		"not ready":           {state: State{Node: node(corev1.ConditionFalse), Heard: now}, taints: "node.kubernetes.io/not-ready:NoExecute node.kubernetes.io/not-ready:NoSchedule", again: Grace},
		"silent for a while":  {state: State{Node: node(corev1.ConditionTrue), Heard: now.Add(-39 * time.Second)}, again: time.Second},
		"silent for too long": {state: State{Node: node(corev1.ConditionTrue), Heard: now.Add(-Grace)}, lost: true, taints: "node.kubernetes.io/unreachable:NoExecute node.kubernetes.io/unreachable:NoSchedule"},
		"cordoned":            {state: State{Node: cordoned, Heard: now}, taints: "node.kubernetes.io/unschedulable:NoSchedule", again: Grace},
		"under pressure":      {state: State{Node: pressed, Heard: now}, taints: "node.kubernetes.io/disk-pressure:NoSchedule", again: Grace},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.state.Now = now
			plan := Decide(c.state)
			var got []string
			if plan.SetTaints {
				for _, x := range plan.Taints {
					got = append(got, x.Key+":"+string(x.Effect))
				}
			}
			if plan.Lost != c.lost || strings.Join(got, " ") != c.taints || plan.Again != c.again {
				t.Errorf("lost %v taints %q again %s, want %v %q %s", plan.Lost, strings.Join(got, " "), plan.Again, c.lost, c.taints, c.again)
			}
			// What was written is not written again.
			after := c.state.Node.DeepCopy()
			if plan.Lost {
				after.Status.Conditions = plan.Conditions
			}
			if plan.SetTaints {
				after.Spec.Taints = plan.Taints
			}
			c.state.Node = after
			if next := Decide(c.state); next.Lost || next.SetTaints {
				t.Errorf("does not rest: %+v", next)
			}
		})
	}
}
