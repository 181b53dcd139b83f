package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func TestAddressPoolsPlacePods(t *testing.T) {
	ask := func(nodes ...string) Ask {
		return Ask{Pod: pod("p", "1"), Addresses: func(n *corev1.Node) bool {
			for _, name := range nodes {
				if n.Name == name {
					return true
				}
			}
			return false
		}}
	}
	state := State{Nodes: []Node{node("a", "4"), node("b", "4"), node("c", "4")}}
	state.Ask = ask("b")
	if d := Decide(state); d.Node != "b" {
		t.Errorf("%+v", d)
	}
	state.Ask = ask()
	d := Decide(state)
	if d.Node != "" || d.Failed&AddressPools == 0 || d.Message != "0/3 nodes are available: 3 node(s) had no IPPool for the pod. no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling." {
		t.Errorf("%+v", d)
	}
	for _, changed := range []any{&spiderpoolv2beta1.SpiderIPPool{}, &corev1.Namespace{}, node("d", "4").Node} {
		if !Empty().Helps(state.Ask.Pod, d.Failed, nil, changed) {
			t.Errorf("a %T does not help", changed)
		}
	}
	if Empty().Helps(state.Ask.Pod, Fit, nil, &spiderpoolv2beta1.SpiderIPPool{}) {
		t.Error("a pool helps where there is no room")
	}
}
