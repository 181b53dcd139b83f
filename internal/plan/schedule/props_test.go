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
			got := Decide(State{Pod: p, Nodes: nodes})
			if again := Decide(State{Pod: p, Nodes: nodes}); again.Node != got.Node || again.Message != got.Message {
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

func BenchmarkDecide1000Nodes(b *testing.B) {
	var nodes []Node
	for i := range 1000 {
		nodes = append(nodes, node(fmt.Sprint("n", i), "16").with(pod("q", "1"), pod("r", "1")))
	}
	p := pod("p", "1")
	for b.Loop() {
		Decide(State{Pod: p, Nodes: nodes})
	}
}
