package route

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func TestWhatIsRead(t *testing.T) {
	node := &corev1.Node{}
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "two"},
		{Type: corev1.NodeExternalIP, Address: "203.0.113.9"},
		{Type: corev1.NodeInternalIP, Address: "192.0.2.8"},
		{Type: corev1.NodeInternalIP, Address: "2001:db8::8"},
	}
	grant := &spiderpoolv2beta1.SpiderEndpoint{}
	grant.Status.Current = spiderpoolv2beta1.PodIPAllocation{Node: "two", IPs: []spiderpoolv2beta1.IPAllocationDetail{{NIC: "eth0", IPv4: "10.42.0.7/16", IPv6: "fd00:42::7/64"}}}
	web := types.NamespacedName{Namespace: "default", Name: "web-0"}
	table := newTable()
	table.nodes["two"] = addressesOf(node)
	table.pods[web] = placeOf(grant)
	_, set := table.changes(map[types.NamespacedName]struct{}{web: {}})
	got := map[string]string{}
	for _, h := range set {
		got[h.pod.String()] = h.node.String()
	}
	if diff := cmp.Diff(map[string]string{"10.42.0.7": "192.0.2.8", "fd00:42::7": "2001:db8::8"}, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever nodes and pods do, and in whatever portions it is heard of, the kernel
// has in the end a route for each address whose node is known, and no other.
func TestRoutesFollow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newTable()
		kernel := map[netip.Addr]netip.Addr{}
		dirty := map[types.NamespacedName]struct{}{}
		address := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 42, 0, byte(n)}) }
		if rapid.Bool().Draw(t, "left over") {
			h := hop{pod: address(1), node: netip.MustParseAddr("192.0.2.99")}
			kernel[h.pod] = h.node
			table.put(h)
			dirty[types.NamespacedName{}] = struct{}{}
		}
		apply := func() {
			del, set := table.changes(dirty)
			clear(dirty)
			for _, h := range del {
				if kernel[h.pod] != h.node {
					t.Fatalf("%s by %s is to go, and is not there: %v", h.pod, h.node, kernel)
				}
				delete(kernel, h.pod)
				table.drop(h.pod)
			}
			for _, h := range set {
				kernel[h.pod] = h.node
				table.put(h)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			node := fmt.Sprint("n", rapid.IntRange(0, 2).Draw(t, "node"))
			pod := types.NamespacedName{Namespace: "ns", Name: fmt.Sprint("p", rapid.IntRange(0, 3).Draw(t, "pod"))}
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				table.nodes[node] = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 3).Draw(t, "at"))})}
				for _, name := range table.on(node) {
					dirty[name] = struct{}{}
				}
			case 1:
				delete(table.nodes, node)
				for _, name := range table.on(node) {
					dirty[name] = struct{}{}
				}
			case 2: // an address that is free, or that another pod has just left
				n := rapid.IntRange(1, 4).Draw(t, "address")
				for name, p := range table.pods {
					if name != pod && len(p.addrs) > 0 && p.addrs[0] == address(n) {
						delete(table.pods, name)
						dirty[name] = struct{}{}
					}
				}
				table.pods[pod] = place{node, []netip.Addr{address(n)}}
				dirty[pod] = struct{}{}
			case 3:
				delete(table.pods, pod)
				dirty[pod] = struct{}{}
			case 4:
				apply()
			}
		}
		apply()
		want := map[netip.Addr]netip.Addr{}
		for _, p := range table.pods {
			if at := table.nodes[p.node]; len(at) > 0 {
				want[p.addrs[0]] = at[0]
			}
		}
		if !maps.Equal(want, kernel) {
			t.Fatalf("the kernel has %v, want %v", kernel, want)
		}
		if !maps.Equal(kernel, table.made) || len(table.owner) != len(kernel) {
			t.Fatalf("noted %v, owners %v, the kernel has %v", table.made, table.owner, kernel)
		}
	})
}
