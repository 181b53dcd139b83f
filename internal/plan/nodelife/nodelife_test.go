package nodelife

import (
	"fmt"
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
			well := node(corev1.ConditionTrue)
			well.Name = "well"
			c.state.Now, c.state.Nodes = now, []*corev1.Node{well}
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

// named is a node of a zone.
func named(name, zone string, ready corev1.ConditionStatus, taints ...corev1.Taint) *corev1.Node {
	n := node(ready, taints...)
	n.Name, n.Labels = name, map[string]string{corev1.LabelTopologyZone: zone}
	return n
}

func zone(name string, ready, lost int) (all []*corev1.Node) {
	for i := range ready + lost {
		status := corev1.ConditionTrue
		if i >= ready {
			status = corev1.ConditionFalse
		}
		all = append(all, named(fmt.Sprint(name, "-", i), name, status))
	}
	return all
}

// Whether a node that is not ready is drained depends on the others.
func TestPace(t *testing.T) {
	drain := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute}
	for name, c := range map[string]struct {
		nodes   []*corev1.Node
		drained time.Duration // ago
		taints  []corev1.Taint
		drains  bool
		again   time.Duration
	}{
		"one of two":                           {nodes: zone("a", 1, 0), drains: true, again: Grace},
		"the only node":                        {again: Grace},
		"all":                                  {nodes: zone("a", 0, 3), again: Grace},
		"all, when it was drained before":      {nodes: zone("a", 0, 3), taints: []corev1.Taint{drain}, again: Grace},
		"all of its zone":                      {nodes: append(zone("a", 0, 3), zone("b", 1, 0)...), drains: true, again: Grace},
		"most of a small zone":                 {nodes: zone("a", 2, 2), again: Grace},
		"it was drained before":                {nodes: zone("a", 2, 2), taints: []corev1.Taint{drain}, drains: true, again: Grace},
		"less than most":                       {nodes: zone("a", 3, 2), drains: true, again: Grace},
		"soon after another one":               {nodes: zone("a", 3, 1), drained: 4 * time.Second, again: 6 * time.Second},
		"some time after it":                   {nodes: zone("a", 3, 1), drained: 10 * time.Second, drains: true, again: Grace},
		"most of a large zone":                 {nodes: zone("a", 20, 40), drains: true, again: Grace},
		"most of one, some time after another": {nodes: zone("a", 20, 40), drained: 70 * time.Second, again: 30 * time.Second},
	} {
		s := State{Node: named("n", "a", corev1.ConditionFalse, c.taints...), Heard: now, Nodes: c.nodes, Now: now}
		if c.drained > 0 {
			s.Drained = now.Add(-c.drained)
		}
		plan := Decide(s)
		taints := s.Node.Spec.Taints
		if plan.SetTaints {
			taints = plan.Taints
		}
		if drains(taints) != c.drains || plan.Again != c.again || plan.Drains != (c.drains && c.taints == nil) {
			t.Errorf("%s: drained %t (new: %t), again in %s", name, drains(taints), plan.Drains, plan.Again)
		}
	}
}

func TestStay(t *testing.T) {
	taint := func(key string, effect corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: key, Effect: effect}
	}
	tolerate := func(key string, seconds ...int64) corev1.Toleration {
		t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists}
		if len(seconds) > 0 {
			t.TolerationSeconds = &seconds[0]
		}
		return t
	}
	a, b := taint("a", corev1.TaintEffectNoExecute), taint("b", corev1.TaintEffectNoExecute)
	for name, c := range map[string]struct {
		taints      []corev1.Taint
		tolerations []corev1.Toleration
		limit       time.Duration
		forever     bool
	}{
		"no taint":           {nil, nil, 0, true},
		"another effect":     {[]corev1.Taint{taint("a", corev1.TaintEffectNoSchedule)}, nil, 0, true},
		"not tolerated":      {[]corev1.Taint{a}, []corev1.Toleration{tolerate("b")}, 0, false},
		"tolerated":          {[]corev1.Taint{a}, []corev1.Toleration{tolerate("a")}, 0, true},
		"for some time":      {[]corev1.Taint{a}, []corev1.Toleration{tolerate("a", 300)}, 300 * time.Second, false},
		"the shorter of two": {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("a", 300), tolerate("b", 20)}, 20 * time.Second, false},
		"one for ever":       {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("a"), tolerate("b", 20)}, 20 * time.Second, false},
		"one of two":         {[]corev1.Taint{a, b}, []corev1.Toleration{tolerate("a")}, 0, false},
		"the first counts":   {[]corev1.Taint{a}, []corev1.Toleration{tolerate("a", 5), tolerate("a")}, 5 * time.Second, false},
		"not a moment":       {[]corev1.Taint{a}, []corev1.Toleration{tolerate("a", -1)}, 0, false},
	} {
		if limit, forever := Stay(c.tolerations, c.taints); limit != c.limit || forever != c.forever {
			t.Errorf("%s: %s, %t", name, limit, forever)
		}
	}
}
