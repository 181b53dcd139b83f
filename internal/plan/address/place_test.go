package address

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func TestNodes(t *testing.T) {
	pools := apiPools(map[string]spiderpoolv2beta1.IPPoolSpec{
		DefaultIPv4: {Default: ptr.To(true)},
		"rack":      {NodeName: []string{"n1"}},
		"zone":      {NodeAffinity: &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "b"}}},
		"free":      {},
	})
	nodes := map[string]*corev1.Node{}
	for name, zone := range map[string]string{"n1": "a", "n2": "b", "n3": "c"} {
		nodes[name] = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": zone}}}
	}
	for _, tt := range []struct {
		pools string
		want  string
	}{
		{`{"ipv4":["rack"]}`, "n1"},
		{`{"ipv4":["zone"]}`, "n2"},
		{`{"ipv4":["rack","zone"]}`, "n1n2"},
		{`{"ipv4":["rack","free"]}`, "n1n2n3"},
		{`{"ipv4":["rack"],"ipv6":["none"]}`, "n1"}, // the cluster has no IPv6
		{"", "n1n2n3"},
		{"{", "n1n2n3"},
	} {
		pod := &corev1.Pod{}
		if tt.pools != "" {
			pod.Annotations = map[string]string{PoolAnnotation: tt.pools}
		}
		got := ""
		fits := Nodes(pod, &corev1.Namespace{}, pools, "eth0")
		for _, name := range []string{"n1", "n2", "n3"} {
			if fits == nil || fits(nodes[name]) {
				got += name
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.pools, got, tt.want)
		}
	}
	delete(pools, "rack")
	delete(pools, "zone")
	if Nodes(&corev1.Pod{}, &corev1.Namespace{}, pools, "eth0") != nil {
		t.Error("nodes are asked although no pool is bound to any")
	}
}
