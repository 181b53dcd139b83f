package schedule

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"k8s.io/apimachinery/pkg/labels"
)

// zoned are three nodes: a and b in zone one, c in zone two.
func zoned(a, b, c []*corev1.Pod) []Node {
	return []Node{
		node("a", "8", labelled("zone", "one")).with(a...),
		node("b", "8", labelled("zone", "one")).with(b...),
		node("c", "8", labelled("zone", "two")).with(c...),
	}
}

func TestBetweenPods(t *testing.T) {
	web, host := near("zone", "app", "web"), near(corev1.LabelHostname, "app", "web")
	elsewhere := near("zone", "app", "web")
	elsewhere.Namespaces = []string{"other"}
	selected := near("zone", "app", "web")
	selected.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "blue"}}
	everywhere := near("zone", "app", "web")
	everywhere.NamespaceSelector = &metav1.LabelSelector{}
	is := called("app", "web")
	one := func(name string, more ...func(*corev1.Pod)) []*corev1.Pod {
		return []*corev1.Pod{pod(name, "1", more...)}
	}
	const useless3 = " no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
	const empty3 = " no new claims to deallocate, preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
	cases := map[string]struct {
		pod     *corev1.Pod
		nodes   []Node
		kin     labels.Selector
		node    string
		message string
	}{
		"near":                  {pod: pod("p", "1", wants(web)), nodes: zoned(nil, nil, one("q", is)), node: "c"},
		"near, in the zone":     {pod: pod("p", "1", wants(web)), nodes: zoned(one("q", is), nil, nil), node: "b"},
		"near nobody":           {pod: pod("p", "1", wants(web)), nodes: zoned(nil, nil, nil), message: "0/3 nodes are available: 3 node(s) didn't match pod affinity rules." + useless3},
		"the first of its kind": {pod: pod("p", "1", is, wants(web)), nodes: zoned(nil, nil, nil), node: "a"},
		"the second of its kind": {
			pod: pod("p", "1", is, wants(web)), nodes: zoned(nil, nil, one("q", is)), node: "c",
		},
		"near one that is both": {
			pod:   pod("p", "1", wants(web), wants(near("zone", "tier", "db"))),
			nodes: zoned(one("q", is), one("r", called("tier", "db")), one("s", is, called("tier", "db"))), node: "c",
		},
		"away":         {pod: pod("p", "1", avoids(web)), nodes: zoned(one("q", is), nil, nil), node: "c"},
		"away by host": {pod: pod("p", "1", is, avoids(host)), nodes: zoned(one("q", is), nil, one("r", is)), node: "b"},
		"away from all": {
			pod: pod("p", "1", avoids(web)), nodes: zoned(nil, one("q", is), one("r", is)),
			message: "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules." + empty3,
		},
		"others keep away": {
			pod: pod("p", "1", is), nodes: zoned(one("q", avoids(web)), nil, one("r", avoids(host))),
			message: "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules." + empty3,
		},
		"others keep away by host":         {pod: pod("p", "1", is), nodes: zoned(one("q", avoids(host)), one("r", avoids(host)), nil), node: "c"},
		"other namespace":                  {pod: pod("p", "1", avoids(web)), nodes: zoned(one("q", is, in("other")), nil, one("r")), node: "b"},
		"a namespace by name":              {pod: pod("p", "1", avoids(elsewhere)), nodes: zoned(one("q", is, in("other")), nil, one("r", is)), node: "c"},
		"namespaces by label":              {pod: pod("p", "1", avoids(selected)), nodes: zoned(one("q", is, in("blue")), nil, one("r", is)), node: "c"},
		"all namespaces":                   {pod: pod("p", "1", avoids(everywhere)), nodes: zoned(one("q", is, in("red")), nil, one("r")), node: "c"},
		"others keep a namespace away":     {pod: pod("p", "1", is, in("blue")), nodes: zoned(one("q", avoids(selected)), nil, one("r")), node: "c"},
		"others' namespace is not its own": {pod: pod("p", "1", is, in("red")), nodes: zoned(one("q", avoids(selected)), nil, one("r")), node: "b"},
		"prefers near":                     {pod: pod("p", "1", likes(10, web)), nodes: zoned(nil, nil, one("q", is)), node: "c"},
		"prefers away":                     {pod: pod("p", "1", dislikes(10, web)), nodes: zoned(one("q", is), nil, one("r")), node: "c"},
		"others prefer it":                 {pod: pod("p", "1", is), nodes: zoned(nil, nil, one("q", likes(1, web))), node: "c"},
		"others need it":                   {pod: pod("p", "1", is), nodes: zoned(nil, nil, one("q", wants(web))), node: "c"},
		"others rather not":                {pod: pod("p", "1", is), nodes: zoned(one("q", dislikes(1, web)), nil, one("r")), node: "c"},

		"even":   {pod: pod("p", "1", is, spreads("zone", 1, "app", "web")), nodes: zoned(one("q", is), nil, nil), node: "c"},
		"skew 2": {pod: pod("p", "6", is, spreads("zone", 2, "app", "web")), nodes: zoned(one("q", is), nil, one("r"))[:3], node: "b"},
		"too uneven": {
			pod: pod("p", "1", is, spreads("zone", 1, "app", "web"), func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"zone": "one"} }),
			// Nodes that it does not select do not count.
			nodes: zoned(one("q", is), nil, nil), node: "b",
		},
		"too uneven, all nodes counted": {
			pod: pod("p", "1", is, spreads("zone", 1, "app", "web", func(c *corev1.TopologySpreadConstraint) {
				c.NodeAffinityPolicy = ptr.To(corev1.NodeInclusionPolicyIgnore)
			}), func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"zone": "one"} }),
			nodes: zoned(one("q", is), nil, nil),
			message: "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 node(s) didn't match pod topology spread constraints. no new claims to deallocate, " +
				"preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
		},
		"tainted nodes counted": {
			pod: pod("p", "1", is, spreads("zone", 1, "app", "web")),
			nodes: []Node{
				node("a", "8", labelled("zone", "one")).with(one("q", is)...),
				node("c", "8", labelled("zone", "two"), taint("k", corev1.TaintEffectNoSchedule)),
			},
			message: "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) had untolerated taint(s). no new claims to deallocate, " +
				"preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
		},
		"tainted nodes left out": {
			pod: pod("p", "1", is, spreads("zone", 1, "app", "web", func(c *corev1.TopologySpreadConstraint) {
				c.NodeTaintsPolicy = ptr.To(corev1.NodeInclusionPolicyHonor)
			})),
			nodes: []Node{
				node("a", "8", labelled("zone", "one")).with(one("q", is)...),
				node("c", "8", labelled("zone", "two"), taint("k", corev1.TaintEffectNoSchedule)),
			},
			node: "a",
		},
		"too few domains": {
			pod:     pod("p", "1", is, spreads("zone", 1, "app", "web", func(c *corev1.TopologySpreadConstraint) { c.MinDomains = ptr.To[int32](3) })),
			nodes:   zoned(one("q", is), nil, one("r", is)),
			message: "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints." + empty3,
		},
		"no such label": {
			pod: pod("p", "1", is, spreads("rack", 1, "app", "web")), nodes: zoned(nil, nil, nil),
			message: "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label)." + useless3,
		},
		"of its own revision": {
			pod:   pod("p", "1", is, called("hash", "2"), spreads("zone", 1, "app", "web", func(c *corev1.TopologySpreadConstraint) { c.MatchLabelKeys = []string{"hash"} })),
			nodes: zoned(one("q", is, called("hash", "2")), nil, []*corev1.Pod{pod("r", "1", is, called("hash", "1")), pod("s", "1", is, called("hash", "1"))}), node: "c",
		},
		"ending pods do not count": {
			pod:   pod("p", "1", is, spreads("zone", 1, "app", "web")),
			nodes: zoned(one("q", is, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), nil, one("r", is)), node: "b",
		},
		"prefers even":             {pod: pod("p", "1", is, spreads("zone", 1, "app", "web", softly)), nodes: zoned(one("q", is), nil, one("r")), node: "c"},
		"kin are spread by host":   {pod: pod("p", "1", is), kin: labels.SelectorFromSet(labels.Set{"app": "web"}), nodes: zoned(one("q", is), one("r", is), []*corev1.Pod{pod("s", "2")}), node: "c"},
		"strangers are not spread": {pod: pod("p", "1", is), nodes: zoned(one("q", is), one("r", is), []*corev1.Pod{pod("s", "2")}), node: "a"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Decide(State{
				Ask: Ask{Pod: c.pod, Kin: c.kin}, Nodes: c.nodes,
				Namespaces: []*corev1.Namespace{
					{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
					{ObjectMeta: metav1.ObjectMeta{Name: "blue", Labels: map[string]string{"team": "blue"}}},
					{ObjectMeta: metav1.ObjectMeta{Name: "red", Labels: map[string]string{"team": "red"}}},
				},
			})
			if got.Node != c.node || got.Message != c.message {
				t.Errorf("node %q, want %q\n%s", got.Node, c.node, cmp.Diff(c.message, got.Message))
			}
		})
	}
}
