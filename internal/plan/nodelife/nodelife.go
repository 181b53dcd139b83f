// Package nodelife decides when a node counts as lost and which taints say
// what its conditions say.
//
// A node is heard through its lease. Silence is measured from the moment this
// process first saw the last renewal, so that neither a difference between
// clocks nor a restart of the control plane makes healthy nodes look lost.
package nodelife

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Upstream's grace periods.
const (
	Grace   = 40 * time.Second
	Startup = 60 * time.Second
)

// State is one node and when it was heard.
type State struct {
	Node *corev1.Node
	// Heard is when this process noticed the last sign of life; the zero time
	// means that there was none, and Known is when the node was first seen.
	Heard, Known time.Time
	// Nodes are all nodes, and Drained is when pods were last driven from one of
	// the node's zone because that was not ready.
	Nodes   []*corev1.Node
	Drained time.Time
	Now     time.Time
}

// Plan is what to write; nil means no change.
type Plan struct {
	// Conditions replace those of the node's status.
	Conditions []corev1.NodeCondition
	// Lost says that Conditions are written because the node fell silent.
	Lost bool
	// SetTaints says that the node's taints become Taints.
	SetTaints bool
	Taints    []corev1.Taint
	// Drains says that Taints drive pods out because the node is not ready, and
	// did not before.
	Drains bool
	// Again is when to look again, as long as nothing happens; 0 means never.
	Again time.Duration
}

// Decide on one node.
func Decide(s State) Plan {
	var plan Plan
	conditions := s.Node.Status.Conditions
	if left := s.left(); left > 0 {
		plan.Again = left
	} else if silent, changed := silenced(s.Node, s.Now); changed {
		plan.Conditions, plan.Lost = silent, true
		conditions = silent
	}
	var pace pace
	if Ready(conditions) != corev1.ConditionTrue {
		pace = s.pace(conditions)
	}
	taints, held := s.taints(conditions, pace)
	if !equal(taints, s.Node.Spec.Taints) {
		plan.SetTaints, plan.Taints = true, taints
	}
	plan.Drains = drains(taints) && !drains(s.Node.Spec.Taints)
	if held && pace.wait > 0 && (plan.Again == 0 || pace.wait < plan.Again) {
		plan.Again = pace.wait
	}
	return plan
}

func drains(taints []corev1.Taint) bool {
	return slices.ContainsFunc(taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && (t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable)
	})
}

// left is how long the node may stay silent.
func (s State) left() time.Duration {
	if s.Heard.IsZero() {
		return s.Known.Add(Startup).Sub(s.Now)
	}
	return s.Heard.Add(Grace).Sub(s.Now)
}

// silenced turns what a silent node once said into Unknown.
func silenced(node *corev1.Node, now time.Time) ([]corev1.NodeCondition, bool) {
	next, changed := slices.Clone(node.Status.Conditions), false
	for _, t := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		i := slices.IndexFunc(next, func(c corev1.NodeCondition) bool { return c.Type == t })
		switch {
		case i < 0:
			next, changed = append(next, corev1.NodeCondition{
				Type: t, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated",
				Message:           "Kubelet never posted node status.",
				LastHeartbeatTime: node.CreationTimestamp, LastTransitionTime: metav1.NewTime(now),
			}), true
		case next[i].Status != corev1.ConditionUnknown:
			next[i].Status, next[i].Reason = corev1.ConditionUnknown, "NodeStatusUnknown"
			next[i].Message = "Kubelet stopped posting node status."
			next[i].LastTransitionTime = metav1.NewTime(now)
			changed = true
		}
	}
	return next, changed
}

// Ready is the status of the Ready condition.
func Ready(conditions []corev1.NodeCondition) corev1.ConditionStatus {
	for _, c := range conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

// managed are the taints that follow from conditions and spec; all others are
// left alone.
var managed = map[corev1.NodeConditionType]struct {
	key    string
	status corev1.ConditionStatus
}{
	corev1.NodeMemoryPressure:     {corev1.TaintNodeMemoryPressure, corev1.ConditionTrue},
	corev1.NodeDiskPressure:       {corev1.TaintNodeDiskPressure, corev1.ConditionTrue},
	corev1.NodePIDPressure:        {corev1.TaintNodePIDPressure, corev1.ConditionTrue},
	corev1.NodeNetworkUnavailable: {corev1.TaintNodeNetworkUnavailable, corev1.ConditionTrue},
}

// taints are those that the node is to have; held says that one which drives
// pods out has to wait.
func (s State) taints(conditions []corev1.NodeCondition, pace pace) (taints []corev1.Taint, held bool) {
	node := s.Node
	want := map[corev1.Taint]bool{}
	no := func(key string) { want[corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule}] = true }
	never := func(key string) {
		if pace.disrupted {
			return
		}
		if held = (pace.held || pace.wait > 0) && !drains(node.Spec.Taints); !held {
			want[corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute}] = true
		}
	}
	switch Ready(conditions) {
	case corev1.ConditionFalse:
		no(corev1.TaintNodeNotReady)
		never(corev1.TaintNodeNotReady)
	case corev1.ConditionUnknown:
		if len(conditions) == 0 {
			no(corev1.TaintNodeNotReady) // just registered
			break
		}
		no(corev1.TaintNodeUnreachable)
		never(corev1.TaintNodeUnreachable)
	}
	for _, c := range conditions {
		if m, ok := managed[c.Type]; ok && c.Status == m.status {
			no(m.key)
		}
	}
	if node.Spec.Unschedulable {
		no(corev1.TaintNodeUnschedulable)
	}
	var out []corev1.Taint
	for _, t := range node.Spec.Taints {
		id := corev1.Taint{Key: t.Key, Effect: t.Effect}
		if ours(id) && !want[id] {
			continue
		}
		delete(want, id)
		out = append(out, t)
	}
	added := make([]corev1.Taint, 0, len(want))
	for t := range want {
		if t.Effect == corev1.TaintEffectNoExecute || t.Key == corev1.TaintNodeUnschedulable {
			at := metav1.NewTime(s.Now)
			t.TimeAdded = &at
		}
		added = append(added, t)
	}
	slices.SortFunc(added, func(a, b corev1.Taint) int {
		if a.Key != b.Key {
			return compare(a.Key, b.Key)
		}
		return compare(string(a.Effect), string(b.Effect))
	})
	return append(out, added...), held
}

// ours says that the taint is set and removed here and nowhere else.
func ours(t corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable:
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	case corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure, corev1.TaintNodePIDPressure,
		corev1.TaintNodeNetworkUnavailable, corev1.TaintNodeUnschedulable:
		return t.Effect == corev1.TaintEffectNoSchedule
	}
	return false
}

func equal(a, b []corev1.Taint) bool {
	return slices.EqualFunc(a, b, func(x, y corev1.Taint) bool {
		return x.Key == y.Key && x.Value == y.Value && x.Effect == y.Effect
	})
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
