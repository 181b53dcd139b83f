package schedule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func budgetFor(app string, allowed int32) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: app},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
}

func since(hour int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.StartTime = &metav1.Time{Time: time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)}
	}
}

func TestPreemption(t *testing.T) {
	never := func(p *corev1.Pod) { p.Spec.PreemptionPolicy = ptr.To(corev1.PreemptNever) }
	ending := func(p *corev1.Pod) {
		p.DeletionTimestamp = &metav1.Time{}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler}}
	}
	nominated := func(node string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.NominatedNodeName = node }
	}
	high := func(cpu string, more ...func(*corev1.Pod)) *corev1.Pod {
		return pod("p", cpu, append(more, priority(10))...)
	}
	host := near(corev1.LabelHostname, "app", "web")
	const short = "0/1 nodes are available: 1 Insufficient cpu."
	cases := map[string]struct {
		pod     *corev1.Pod
		nodes   []Node
		budgets []*policyv1.PodDisruptionBudget
		node    string
		victims []string
		waits   bool
		message string
	}{
		"the only way": {
			pod: high("2"), nodes: []Node{node("a", "2").with(pod("q", "1"))},
			node: "a", victims: []string{"q"}, message: short,
		},
		"equals stay": {
			pod: high("2"), nodes: []Node{node("a", "2").with(pod("q", "1", priority(10)))}, message: short + empty,
		},
		"no more than needed": {
			pod: high("2"), nodes: []Node{node("a", "4").with(pod("q", "1", priority(3)), pod("r", "2", priority(2)), pod("s", "1", priority(1)))},
			node: "a", victims: []string{"r"}, message: short,
		},
		"the younger goes": {
			pod: high("1"), nodes: []Node{node("a", "2").with(pod("q", "1", since(2)), pod("r", "1", since(1)))},
			node: "a", victims: []string{"q"}, message: short,
		},
		"still not enough": {
			pod: high("2"), nodes: []Node{node("a", "2").with(pod("q", "1"), pod("r", "1", priority(20)))},
			message: short + " no new claims to deallocate, preemption: 0/1 nodes are available: 1 Insufficient cpu.",
		},
		"not where it would not help": {
			pod:     high("2", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			nodes:   []Node{node("a", "2").with(pod("q", "1"))},
			message: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + useless,
		},
		"never": {
			pod: high("2", never), nodes: []Node{node("a", "2").with(pod("q", "1"))},
			message: short + " no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.",
		},
		"under way": {
			pod: high("2", nominated("a")), nodes: []Node{node("a", "2").with(pod("q", "1", ending))},
			node: "a", waits: true,
			message: short + " no new claims to deallocate, preemption: not eligible due to a terminating pod on the nominated node.",
		},
		"budgets first": {
			pod: high("1"), nodes: []Node{node("a", "1").with(pod("q", "1", called("app", "web"))), node("b", "1").with(pod("r", "1", priority(5)))},
			budgets: []*policyv1.PodDisruptionBudget{budgetFor("web", 0)},
			node:    "b", victims: []string{"r"}, message: "0/2 nodes are available: 2 Insufficient cpu.",
		},
		"budgets on one node": {
			pod: high("1"), nodes: []Node{node("a", "2").with(pod("q", "1", called("app", "web")), pod("r", "1", priority(5)))},
			budgets: []*policyv1.PodDisruptionBudget{budgetFor("web", 0)},
			node:    "a", victims: []string{"r"}, message: short,
		},
		"against a budget when there is no other way": {
			pod: high("1"), nodes: []Node{node("a", "1").with(pod("q", "1", called("app", "web")))},
			budgets: []*policyv1.PodDisruptionBudget{budgetFor("web", 0)},
			node:    "a", victims: []string{"q"}, message: short,
		},
		"the least important node": {
			pod: high("1"), nodes: []Node{node("a", "1").with(pod("q", "1", priority(5))), node("b", "1").with(pod("r", "1", priority(4)))},
			node: "b", victims: []string{"r"}, message: "0/2 nodes are available: 2 Insufficient cpu.",
		},
		"the fewest": {
			pod: high("2"), nodes: []Node{node("a", "2").with(pod("q", "1"), pod("r", "1")), node("b", "2").with(pod("s", "2"))},
			node: "b", victims: []string{"s"}, message: "0/2 nodes are available: 2 Insufficient cpu.",
		},
		"a host port": {
			pod: high("", hostPort(80, "")), nodes: []Node{node("a", "2").with(pod("q", "", hostPort(80, "")), pod("r", ""))},
			node: "a", victims: []string{"q"},
			message: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
		},
		"anti-affinity": {
			pod: high("1", avoids(host)), nodes: []Node{node("a", "4").with(pod("q", "1", called("app", "web")), pod("r", "1"))},
			node: "a", victims: []string{"q"}, message: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
		},
		"their anti-affinity": {
			pod: high("1", called("app", "web")), nodes: []Node{node("a", "4").with(pod("q", "1", avoids(host)), pod("r", "1"))},
			node: "a", victims: []string{"q"}, message: "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.",
		},
		"an uneven spread": {
			pod: high("1", called("app", "web"), spreads("zone", 1, "app", "web")),
			nodes: []Node{
				node("a", "4", labelled("zone", "one")).with(pod("q", "1", called("app", "web"))),
				node("b", "1", labelled("zone", "two")).with(pod("r", "1", priority(20))),
			},
			node: "a", victims: []string{"q"},
			message: "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread constraints.",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Decide(State{Ask: Ask{Pod: c.pod, Budgets: c.budgets}, Nodes: c.nodes})
			if got.Node != "" {
				t.Fatalf("goes to %s", got.Node)
			}
			var victims []string
			for _, v := range got.Victims {
				victims = append(victims, v.Name)
			}
			if got.Nominated != c.node || got.Waits != c.waits || got.Message != c.message {
				t.Errorf("nominated %q, want %q, waits %v\n%s", got.Nominated, c.node, got.Waits, cmp.Diff(c.message, got.Message))
			}
			if diff := cmp.Diff(c.victims, victims); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A pod that waits for room on a node keeps it, except from those that matter more.
func TestNominated(t *testing.T) {
	c := Empty()
	c.SetNode(node("a", "2").Node)
	waiting := pod("w", "2", priority(5))
	waiting.UID = "w"
	c.Nominate(waiting, "a")
	small, great := pod("s", "1", priority(4)), pod("g", "1", priority(6))
	small.UID, great.UID = "s", "g"
	if d := c.Decide(Ask{Pod: small}); d.Node != "" || d.Message != "0/1 nodes are available: 1 Insufficient cpu."+empty {
		t.Errorf("a pod that matters less: node %q, %s", d.Node, d.Message)
	}
	if d := c.Decide(Ask{Pod: great}); d.Node != "a" {
		t.Error("a pod that matters more was kept away:", d.Message)
	}
	if d := c.Decide(Ask{Pod: waiting}); d.Node != "a" {
		t.Error("the pod itself was kept away:", d.Message)
	}
	if got := c.Nominees("a", great); len(got) != 1 || got[0] != waiting {
		t.Errorf("displaced: %v", got)
	}
	c.Nominate(waiting, "")
	if d := c.Decide(Ask{Pod: small}); d.Node != "a" {
		t.Error("the nomination was not taken back:", d.Message)
	}
}
