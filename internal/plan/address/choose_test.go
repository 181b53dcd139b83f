package address

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func apiPools(specs map[string]spiderpoolv2beta1.IPPoolSpec) map[string]*spiderpoolv2beta1.SpiderIPPool {
	out := map[string]*spiderpoolv2beta1.SpiderIPPool{}
	for name, spec := range specs {
		if spec.Subnet == "" {
			spec.Subnet = "10.6.0.0/16"
		}
		out[name] = &spiderpoolv2beta1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	return out
}

func TestChoose(t *testing.T) {
	one := func(k, v string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{k: v}}
	}
	pools := apiPools(map[string]spiderpoolv2beta1.IPPoolSpec{
		"plain-a": {}, "plain-b": {}, "six": {Subnet: "fd00::/64", IPVersion: ptr.To[int64](6)},
		"pod-web": {PodAffinity: one("app", "web")}, "pod-db": {PodAffinity: one("app", "db")},
		"node-1": {NodeName: []string{"n1"}, NodeAffinity: one("zone", "nowhere")}, "node-2": {NodeName: []string{"n2"}},
		"zone-a": {NodeAffinity: one("zone", "a")}, "zone-b": {NodeAffinity: one("zone", "b")},
		"ns-default": {NamespaceName: []string{"default"}}, "ns-other": {NamespaceName: []string{"other"}},
		"team-x": {NamespaceAffinity: one("team", "x")}, "team-y": {NamespaceAffinity: one("team", "y")},
		"net": {MultusName: []string{"kube-system/macvlan"}},
	})
	who := Asker{
		PodLabels: map[string]string{"app": "web"}, Namespace: "default", NamespaceLabels: map[string]string{"team": "x"},
		Node: "n1", NodeLabels: map[string]string{"zone": "a"},
	}
	tests := []struct {
		names   Names
		chosen  []string
		refused []string
	}{
		{Names{[]string{"plain-b", "pod-web", "plain-a", "plain-b"}, true}, []string{"plain-b", "pod-web", "plain-a"}, nil},
		{Names{[]string{"plain-b", "plain-a", "team-x", "ns-default", "zone-a", "node-1", "pod-web"}, false}, []string{"pod-web", "node-1", "zone-a", "ns-default", "team-x", "plain-b", "plain-a"}, nil},
		{Names{[]string{"plain-b", "plain-?", "n[os]-default"}, true}, []string{"plain-b", "plain-a", "ns-default"}, nil},
		{
			Names{[]string{"pod-db", "node-2", "zone-b", "ns-other", "team-y", "net", "six", "none", "none-*"}, true},
			nil,
			[]string{
				"pod-db: its podAffinity does not match the pod", "node-2: its nodeName does not name node n1",
				"zone-b: its nodeAffinity does not match node n1", "ns-other: its namespaceName does not name namespace default",
				"team-y: its namespaceAffinity does not match namespace default", `net: its multusName does not name the pod's network ""`,
				"six: it is IPv6", "none: there is no such pool", "none-*: there is no such pool",
			},
		},
	}
	for _, tt := range tests {
		chosen, refused := Choose(tt.names, IPv4, pools, who)
		if !slices.Equal(chosen, tt.chosen) || !slices.Equal(refused, tt.refused) {
			t.Errorf("%v:\n%q\n%q", tt.names, chosen, refused)
		}
	}
	who.Network = "kube-system/macvlan"
	if chosen, _ := Choose(Names{[]string{"net"}, true}, IPv4, pools, who); len(chosen) != 1 {
		t.Error("the network's own pool is refused")
	}
}

func TestWish(t *testing.T) {
	tests := []struct {
		name           string
		pod, namespace map[string]string
		want           string
		err            string
	}{
		{"none", nil, nil, "map[]", ""},
		{"pool", map[string]string{PoolAnnotation: `{"ipv4": ["a"], "ipv6": ["b*"]}`}, map[string]string{NamespaceIPv4Pools: `["n"]`}, "map[4:{[a] true} 6:{[b*] true}]", ""},
		{"pools win", map[string]string{PoolAnnotation: `{`, PoolsAnnotation: `[{"ipv4": ["x", "y"]}, {"ipv4": ["z"]}]`}, nil, "map[4:{[x y] true}]", ""},
		{"by interface", map[string]string{PoolsAnnotation: `[{"interface": "net1", "ipv4": ["z"]}, {"interface": "eth0", "ipv6": ["x"]}]`}, nil, "map[6:{[x] true}]", ""},
		{"namespace", nil, map[string]string{NamespaceIPv4Pools: `["n", "m"]`, NamespaceIPv6Pools: `[]`}, "map[4:{[n m] true}]", ""},
		{"no JSON", map[string]string{PoolAnnotation: `test-ippool`}, nil, "map[]", "annotation ipam.spidernet.io/ippool: wrong input: invalid character 'e' in literal true (expecting 'r')"},
		{"more", map[string]string{PoolAnnotation: `{"ipv4": ["a"]} x`}, nil, "map[]", "annotation ipam.spidernet.io/ippool: wrong input: something follows the JSON value"},
		{"nothing named", map[string]string{PoolAnnotation: `{}`}, nil, "map[]", "annotation ipam.spidernet.io/ippool: wrong input: neither ipv4 nor ipv6 names a pool"},
		{"twice", map[string]string{PoolsAnnotation: `[{"interface": "eth0", "ipv4": ["z"]}, {"interface": "eth0"}]`}, nil, "map[]", "annotation ipam.spidernet.io/ippools: wrong input: interface eth0 is there twice"},
		{"half named", map[string]string{PoolsAnnotation: `[{"interface": "eth0", "ipv4": ["z"]}, {"ipv4": ["a"]}]`}, nil, "map[]", "annotation ipam.spidernet.io/ippools: wrong input: either all elements have an interface or none"},
		{"not ours", map[string]string{PoolsAnnotation: `[{"interface": "net1", "ipv4": ["z"]}]`}, nil, "map[]", "annotation ipam.spidernet.io/ippools: wrong input: interface eth0 is not among them"},
		{"wrong namespace", nil, map[string]string{NamespaceIPv6Pools: `x`}, "map[]", "annotation ipam.spidernet.io/default-ipv6-ippool: wrong input: invalid character 'x' looking for beginning of value"},
	}
	for _, tt := range tests {
		got, err := Wish(tt.pod, tt.namespace, "eth0", 0)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if fmt.Sprint(got) != tt.want || text != tt.err {
			t.Errorf("%s: %v, %q", tt.name, got, text)
		}
	}
}
