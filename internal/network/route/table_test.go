package route

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
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
	near := func(a netip.Addr) bool { return a.IsValid() }
	table.nodes["two"] = nodeOf(addressesOf(node), netip.MustParseAddr("192.0.2.7"), near)
	table.pods[web] = placeOf(grant, near)
	_, set := table.changes(map[types.NamespacedName]struct{}{web: {}})
	got := map[string]string{}
	for _, h := range set {
		got[h.pod.String()] = h.way.Gateway.String()
	}
	if diff := cmp.Diff(map[string]string{"10.42.0.7": "192.0.2.8", "fd00:42::7": "2001:db8::8"}, got); diff != "" {
		t.Error(diff)
	}
}

// A node on another segment is behind the overlay, in the families it has; one
// that is near in one family needs no envelopes.
func TestWhichWayToANode(t *testing.T) {
	local := netip.MustParseAddr("192.0.2.7")
	four, six := netip.MustParseAddr("198.51.100.8"), netip.MustParseAddr("2001:db8:1::8")
	pod4, pod6 := netip.MustParseAddr("10.42.0.7"), netip.MustParseAddr("fd00:42::7")
	for name, x := range map[string]struct {
		addrs, near []netip.Addr
		ways        [2]string // to an IPv4 and an IPv6 pod
	}{
		"near":                        {[]netip.Addr{four, six}, []netip.Addr{four, six}, [2]string{"198.51.100.8", "2001:db8:1::8"}},
		"near, one family":            {[]netip.Addr{four}, []netip.Addr{four}, [2]string{"198.51.100.8", ""}},
		"far":                         {[]netip.Addr{four, six}, nil, [2]string{"overlay 198.51.100.8", "overlay fe80"}},
		"far, IPv4 only":              {[]netip.Addr{four}, nil, [2]string{"overlay 198.51.100.8", "overlay fe80"}},
		"far, IPv6 only":              {[]netip.Addr{six}, nil, [2]string{"", ""}},
		"near by one family of two":   {[]netip.Addr{four, six}, []netip.Addr{four}, [2]string{"198.51.100.8", ""}},
		"it has not said where it is": {nil, nil, [2]string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable()
			table.nodes["two"] = nodeOf(x.addrs, local, func(a netip.Addr) bool { return slices.Contains(x.near, a) })
			for i, pod := range []netip.Addr{pod4, pod6} {
				got := ""
				if way, ok := table.via(place{node: "two"}, pod); ok {
					got = way.Gateway.String()
					if way.Overlay {
						got = "overlay " + got
					}
				}
				if got != x.ways[i] && (x.ways[i] != "overlay fe80" || !strings.HasPrefix(got, x.ways[i])) {
					t.Errorf("to %s: %q, want %q", pod, got, x.ways[i])
				}
			}
			if _, behind := table.peers()[four]; behind != strings.HasPrefix(x.ways[0], "overlay") {
				t.Errorf("behind the overlay: %v", table.peers())
			}
		})
	}
}

// Whatever nodes and pods do, and in whatever portions it is heard of, the kernel
// has in the end a route for each address whose node is known, and no other.
func TestRoutesFollow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newTable()
		kernel := map[netip.Addr]link.Way{}
		dirty := map[types.NamespacedName]struct{}{}
		address := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 42, 0, byte(n)}) }
		if rapid.Bool().Draw(t, "left over") {
			h := hop{pod: address(1), way: link.Way{Gateway: netip.MustParseAddr("192.0.2.99")}}
			kernel[h.pod] = h.way
			table.put(h)
			dirty[types.NamespacedName{}] = struct{}{}
		}
		apply := func() {
			del, set := table.changes(dirty)
			clear(dirty)
			for _, h := range del {
				if kernel[h.pod] != h.way {
					t.Fatalf("%s by %v is to go, and is not there: %v", h.pod, h.way, kernel)
				}
				delete(kernel, h.pod)
				table.drop(h.pod)
			}
			for _, h := range set {
				kernel[h.pod] = h.way
				table.put(h)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			node := fmt.Sprint("n", rapid.IntRange(0, 2).Draw(t, "node"))
			pod := types.NamespacedName{Namespace: "ns", Name: fmt.Sprint("p", rapid.IntRange(0, 3).Draw(t, "pod"))}
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				at := netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 3).Draw(t, "at"))})
				near := rapid.Bool().Draw(t, "near")
				table.nodes[node] = nodeOf([]netip.Addr{at}, netip.MustParseAddr("192.0.2.7"), func(netip.Addr) bool { return near })
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
		want := map[netip.Addr]link.Way{}
		for _, p := range table.pods {
			if n := table.nodes[p.node]; len(n.addrs) > 0 {
				want[p.addrs[0]] = link.Way{Gateway: n.addrs[0], Overlay: len(n.near) == 0}
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

func TestWhichAddressesANodeLeadsTo(t *testing.T) {
	near := func(a netip.Addr) bool { return a == netip.MustParseAddr("10.6.0.5") }
	for _, tt := range []struct{ name, networks, addr, want string }{
		{"routed", "", "10.6.0.5", "[10.6.0.5]"},
		{"in a network that we are in", `[{"interface":"eth0","join":{"rpFilter":0}}]`, "10.6.0.5", "[]"},
		{"in a network elsewhere", `[{"interface":"eth0","join":{"rpFilter":0}}]`, "10.6.0.6", "[10.6.0.6]"},
		{"left alone by its node", `[{"interface":"eth0"}]`, "10.6.0.6", "[]"},
		{"with a second interface", `[{"interface":"net1"}]`, "10.42.0.2", "[10.42.0.2]"},
	} {
		e := &spiderpoolv2beta1.SpiderEndpoint{}
		e.Annotations = map[string]string{attachment.ResolvedAnnotation: tt.networks}
		e.Status.Current.IPs = []spiderpoolv2beta1.IPAllocationDetail{{NIC: "eth0", IPv4: tt.addr + "/16"}, {NIC: "net1", IPv4: "10.7.0.1/16"}}
		if got := fmt.Sprint(placeOf(e, near).addrs); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
