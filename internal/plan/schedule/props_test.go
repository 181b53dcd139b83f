package schedule

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"
)

// TestNeverOvercommits schedules random pods one after the other: no node ever
// holds more than it has, and a pod is turned away only when no node has room.
func TestNeverOvercommits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []Node
		for i := range rapid.IntRange(1, 5).Draw(t, "nodes") {
			n := node(fmt.Sprint("n", i), fmt.Sprintf("%dm", rapid.IntRange(0, 4000).Draw(t, "cpu")))
			n.Node.Status.Allocatable[corev1.ResourcePods] = *resource.NewQuantity(rapid.Int64Range(0, 5).Draw(t, "max"), resource.DecimalSI)
			nodes = append(nodes, n)
		}
		for i := range rapid.IntRange(1, 20).Draw(t, "pods") {
			want := rapid.Int64Range(0, 2000).Draw(t, "want")
			p := pod(fmt.Sprint("p", i), fmt.Sprintf("%dm", want))
			got := Decide(State{Ask: Ask{Pod: p}, Nodes: nodes})
			if again := Decide(State{Ask: Ask{Pod: p}, Nodes: nodes}); again.Node != got.Node || again.Message != got.Message {
				t.Fatalf("same state, other decision: %q then %q", got.Node, again.Node)
			}
			for j := range nodes {
				n := &nodes[j]
				used, pods := usage(n)
				room := n.Node.Status.Allocatable.Cpu().MilliValue()-used >= want && pods < n.Node.Status.Allocatable.Pods().Value()
				if got.Node == "" && room {
					t.Fatalf("%s has room for %s: %s", n.Node.Name, p.Name, got.Message)
				}
				if got.Node == n.Node.Name {
					if !room {
						t.Fatalf("%s has no room for %s", n.Node.Name, p.Name)
					}
					n.Pods = append(n.Pods, p)
				}
			}
			if (got.Node == "") == (got.Message == "") {
				t.Fatalf("node %q with message %q", got.Node, got.Message)
			}
		}
	})
}

func usage(n *Node) (milliCPU, pods int64) {
	for _, p := range n.Pods {
		milliCPU += p.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
	}
	return milliCPU, int64(len(n.Pods))
}

// BenchmarkDecide is a decision alone, on a thousand nodes with ten pods each.
func BenchmarkDecide(b *testing.B) {
	for name, more := range map[string]func(*corev1.Pod){
		"plain": func(*corev1.Pod) {},
		"anti-affinity": func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{near(corev1.LabelHostname, "app", "web")},
			}}
		},
		"spread": func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{spreadOver("zone", 1, "app", "web")}
		},
	} {
		b.Run(name, func(b *testing.B) {
			c := Empty()
			for i := range 1000 {
				n := node(fmt.Sprint("n", i), "64", labelled("zone", fmt.Sprint(i%10))).Node
				c.SetNode(n)
				for j := range 10 {
					c.SetPod(pod(fmt.Sprint("q", j), "1", called("app", fmt.Sprint("other", j)), on(n.Name)))
				}
			}
			made := make([]*corev1.Pod, 1000)
			for i := range made {
				made[i] = pod(fmt.Sprint("p", i), "1", called("app", "web"), more)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				p := made[n%len(made)]
				if n++; n > len(made) {
					c.RemovePod(p)
					p.Spec.NodeName = ""
				}
				d := c.Decide(Ask{Pod: p})
				if d.Node == "" {
					b.Fatal(d.Message)
				}
				p.Spec.NodeName = d.Node
				c.SetPod(p)
			}
		})
	}
}
