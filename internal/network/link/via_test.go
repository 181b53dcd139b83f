package link

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestRoutesToPodsOfOtherNodes(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		uplink(t, "192.0.2.7/24", "2001:db8::7/64")
		check(t, SetUp(cluster))
		pod, pod6 := netip.MustParseAddr("10.42.0.9"), netip.MustParseAddr("fd00:42::9")
		by := func(node string) Way { return Way{Gateway: netip.MustParseAddr(node)} }
		two, two6, three := by("192.0.2.8"), by("2001:db8::8"), by("192.0.2.9")
		are := func(what string, want map[netip.Addr]Way) {
			t.Helper()
			got, err := Vias()
			check(t, err)
			if !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		// An address that comes and goes leaves nobody behind who is taken for it.
		neighbour := func(what, on string) {
			t.Helper()
			list, err := netlink.NeighList(0, netlink.FAMILY_V4)
			check(t, err)
			got := ""
			for _, n := range list {
				if !n.IP.Equal(pod.AsSlice()) {
					continue
				}
				l, err := netlink.LinkByIndex(n.LinkIndex)
				check(t, err)
				if n.HardwareAddr.String() != MAC(pod).String() || n.State != netlink.NUD_PERMANENT {
					t.Errorf("%s: neighbour %v", what, n)
				}
				got += l.Attrs().Name
			}
			if got != on {
				t.Errorf("%s: %s is a neighbour on %q, want %q", what, pod, got, on)
			}
		}
		are("none yet", map[netip.Addr]Way{})
		check(t, RouteVia(pod, two, cluster.NodeIPs))
		check(t, RouteVia(pod, two, cluster.NodeIPs))
		check(t, RouteVia(pod6, two6, cluster.NodeIPs))
		are("two families", map[netip.Addr]Way{pod: two, pod6: two6})
		if routes, err := netlink.RouteGet(pod.AsSlice()); err != nil || len(routes) != 1 || routes[0].Src.String() != "192.0.2.7" {
			t.Errorf("the node's own connections: %v, %v", routes, err)
		}
		check(t, RouteVia(pod, three, cluster.NodeIPs))
		are("moved", map[netip.Addr]Way{pod: three, pod6: two6})
		neighbour("on another node", "")
		check(t, Unroute(pod, two, cluster.NodeIPs))
		are("after the old way was taken away once more", map[netip.Addr]Way{pod: three, pod6: two6})

		// The pod comes here: its wire takes over, and outlives the news that it left there.
		check(t, Attach(wire(space(t), "a", "10.42.0.9")))
		are("here", map[netip.Addr]Way{pod6: two6})
		neighbour("here", HostName("a", "eth0"))
		check(t, Unroute(pod, three, cluster.NodeIPs))
		check(t, Check(HostName("a", "eth0"), []netip.Addr{pod}))
		// Late news of where it was: the wire is found again.
		check(t, RouteVia(pod, three, cluster.NodeIPs))
		check(t, Unroute(pod, three, cluster.NodeIPs))
		check(t, Check(HostName("a", "eth0"), []netip.Addr{pod}))
		// It leaves again before its wire is taken down.
		check(t, RouteVia(pod, two, cluster.NodeIPs))
		check(t, Detach(HostName("a", "eth0")))
		are("there again", map[netip.Addr]Way{pod: two, pod6: two6})
		neighbour("there again", "")

		if err := RouteVia(pod, by("198.51.100.1"), cluster.NodeIPs); err == nil {
			t.Error("a node that is on no segment of ours")
		}
		check(t, Remove(cluster))
		are("after all was removed", map[netip.Addr]Way{})
	})
}
