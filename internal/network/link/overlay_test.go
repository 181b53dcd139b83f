package link

import (
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// machine is a node in a namespace of its own, with one pod.
type machine struct {
	space, pod int
	node       Node
	addrs      []netip.Addr // the pod's
}

// plug joins a machine to a segment of the router, this thread's namespace. The
// router forwards nothing that is from or for a pod: networks between nodes know
// nothing of these.
func plug(t *testing.T, bridge netlink.Link, name string, node, gateways, pod []string) machine {
	t.Helper()
	m := machine{space: space(t), pod: space(t), node: cluster}
	m.node.NodeIPs = nil
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "port-" + name
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(m.space)}))
	port, err := netlink.LinkByName(attrs.Name)
	check(t, err)
	check(t, netlink.LinkSetMaster(port, bridge))
	check(t, netlink.LinkSetUp(port))
	for _, a := range pod {
		m.addrs = append(m.addrs, netip.MustParseAddr(a))
	}
	within(t, m.space, func() {
		up, err := netlink.LinkByName("eth0")
		check(t, err)
		check(t, netlink.LinkSetUp(up))
		for i, cidr := range node {
			give(t, up, cidr)
			m.node.NodeIPs = append(m.node.NodeIPs, netip.MustParsePrefix(cidr).Addr())
			gw := netip.MustParseAddr(gateways[i])
			check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: up.Attrs().Index, Dst: anyOf(gw), Gw: gw.AsSlice()}))
		}
		check(t, SetUp(m.node))
		w := wire(m.pod, name, pod...)
		w.Sources = m.node.NodeIPs
		check(t, Attach(w))
	})
	return m
}

func give(t *testing.T, l netlink.Link, cidr string) {
	t.Helper()
	addr, err := netlink.ParseAddr(cidr)
	check(t, err)
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD
	}
	check(t, netlink.AddrAdd(l, addr))
}

// router makes this namespace one between two segments, that drops what it has
// no business with.
func router(t *testing.T) (first, second netlink.Link) {
	t.Helper()
	check(t, apply([]setting{{"ipv4/ip_forward", "1"}, {"ipv6/conf/all/forwarding", "1"}}))
	var out []netlink.Link
	for i, cidrs := range [][]string{{"192.0.2.1/24", "2001:db8::1/64"}, {"198.51.100.1/24", "2001:db8:1::1/64"}} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = []string{"first", "second"}[i]
		check(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
		l, err := netlink.LinkByName(attrs.Name)
		check(t, err)
		check(t, netlink.LinkSetUp(l))
		for _, c := range cidrs {
			give(t, l, c)
		}
		out = append(out, l)
	}
	for _, p := range cluster.PodCIDRs { // also as a source
		check(t, netlink.RouteAdd(&netlink.Route{Dst: ipNet(p), Type: unix.RTN_BLACKHOLE}))
		r := netlink.NewRule()
		r.Family, r.Src, r.Table, r.Priority = familyOf(p.Addr()), ipNet(p), 99, 99
		check(t, netlink.RuleAdd(r))
		check(t, netlink.RouteAdd(&netlink.Route{Dst: anyOf(p.Addr()), Type: unix.RTN_BLACKHOLE, Table: 99, Family: familyOf(p.Addr())}))
	}
	return out[0], out[1]
}

// meet has a machine know another as the router of routes would.
func (m machine) meet(t *testing.T, o machine) {
	t.Helper()
	within(t, m.space, func() {
		near, err := Near(o.node.NodeIPs[0])
		check(t, err)
		peer := Peer{Underlay: o.node.NodeIPs[0], Addrs: o.node.NodeIPs}
		if !near {
			for range 2 {
				check(t, SetUpOverlay(m.node.NodeIPs[0]))
				check(t, SetPeer(peer))
			}
		}
		for i, a := range o.addrs {
			way := Way{Gateway: o.node.NodeIPs[min(i, len(o.node.NodeIPs)-1)]}
			if !near {
				way, _ = peer.Way(a)
			}
			check(t, RouteVia(a, way, m.node.NodeIPs))
		}
	})
}

// Three machines, two segments, and a router between that drops whatever has a
// pod's address on the outside: every pod and node reaches every other one, by its
// own address, and what is too long for an envelope gets through too.
func TestPodsReachEachOtherAcrossSegments(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		first, second := router(t)
		a := plug(t, first, "a", []string{"192.0.2.7/24", "2001:db8::7/64"}, []string{"192.0.2.1", "2001:db8::1"}, []string{"10.42.0.2", "fd00:42::2"})
		b := plug(t, first, "b", []string{"192.0.2.8/24", "2001:db8::8/64"}, []string{"192.0.2.1", "2001:db8::1"}, []string{"10.42.0.3", "fd00:42::3"})
		c := plug(t, second, "c", []string{"198.51.100.9/24"}, []string{"198.51.100.1"}, []string{"10.42.0.4", "fd00:42::4"}) // IPv6 only for pods
		all := []machine{a, b, c}
		for _, m := range all {
			for _, o := range all {
				if m.space != o.space {
					m.meet(t, o)
				}
			}
			listen(t, m.space, ":81")
			listen(t, m.pod, ":80")
			swallow(t, m.pod)
		}
		for _, m := range all {
			for _, o := range all {
				if m.space == o.space {
					continue
				}
				within(t, m.pod, func() {
					for i, addr := range o.addrs {
						if got := call(t, net.JoinHostPort(addr.String(), "80")); got != m.addrs[i].String() {
							t.Errorf("pod %s, called by %s, saw %q", addr, m.addrs[i], got)
						}
					}
					if got := call(t, net.JoinHostPort(o.node.NodeIPs[0].String(), "81")); got != m.addrs[0].String() {
						t.Errorf("node %s, called by pod %s, saw %q", o.node.NodeIPs[0], m.addrs[0], got)
					}
					for _, addr := range o.addrs {
						pour(t, addr)
					}
				})
				within(t, m.space, func() {
					if got := call(t, net.JoinHostPort(o.addrs[0].String(), "80")); got != m.node.NodeIPs[0].String() {
						t.Errorf("pod %s, called by node %s, saw %q", o.addrs[0], m.node.NodeIPs[0], got)
					}
				})
			}
		}
		within(t, a.space, func() {
			if OverlayMTU() != 1450 {
				t.Errorf("MTU %d", OverlayMTU())
			}
			are, err := Peers()
			check(t, err)
			if len(are) != 1 || are[0] != c.node.NodeIPs[0] {
				t.Errorf("behind the overlay are %v", are)
			}
			nobodyElse(t)
		})
		moved(t, a, b, c)
	})
}

// nobodyElse checks that no packet is sent to more than one node.
func nobodyElse(t *testing.T) {
	t.Helper()
	l, err := netlink.LinkByName(overlayName)
	check(t, err)
	entries, err := netlink.NeighList(l.Attrs().Index, unix.AF_BRIDGE)
	check(t, err)
	for _, e := range entries {
		if e.HardwareAddr.String() == "00:00:00:00:00:00" || e.State&netlink.NUD_PERMANENT == 0 {
			t.Errorf("%v is not one node's", e)
		}
	}
}

// moved takes c's pod to b, addresses and all, while its old wire is still there.
func moved(t *testing.T, a, b, c machine) {
	t.Helper()
	there := space(t)
	within(t, b.space, func() {
		w := wire(there, "moved", c.addrs[0].String(), c.addrs[1].String())
		w.Sources = b.node.NodeIPs
		check(t, Attach(w))
	})
	listen(t, there, ":80")
	for i, addr := range c.addrs {
		within(t, a.space, func() { check(t, RouteVia(addr, Way{Gateway: b.node.NodeIPs[i]}, a.node.NodeIPs)) })
		within(t, c.space, func() {
			way, _ := Peer{Underlay: b.node.NodeIPs[0], Addrs: b.node.NodeIPs}.Way(addr)
			check(t, RouteVia(addr, way, c.node.NodeIPs))
		})
	}
	within(t, c.space, func() { check(t, Detach(HostName("c", "eth0"))) })
	within(t, a.pod, func() {
		for i, addr := range c.addrs {
			if got := call(t, net.JoinHostPort(addr.String(), "80")); got != a.addrs[i].String() {
				t.Errorf("the pod that moved, %s, saw %q", addr, got)
			}
		}
	})
	within(t, c.space, func() {
		if got := call(t, net.JoinHostPort(c.addrs[0].String(), "80")); got != c.node.NodeIPs[0].String() {
			t.Errorf("the pod, called from where it was, saw %q", got)
		}
	})
	// The last one behind the overlay goes, and all that led there.
	within(t, a.space, func() {
		check(t, RemovePeer(c.node.NodeIPs[0]))
		left, err := Peers()
		check(t, err)
		l, _ := netlink.LinkByName(overlayName)
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			neighbours, err := netlink.NeighList(l.Attrs().Index, family)
			check(t, err)
			routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: overlayTable}, netlink.RT_FILTER_TABLE)
			check(t, err)
			for _, n := range neighbours {
				if n.State&netlink.NUD_PERMANENT != 0 {
					t.Errorf("left: %v", n)
				}
			}
			if len(routes) > 0 {
				t.Errorf("left: %v", routes)
			}
		}
		if len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		for range 2 {
			check(t, RemoveOverlay())
		}
		check(t, RouteVia(c.addrs[0], Way{Gateway: b.node.NodeIPs[0]}, a.node.NodeIPs))
		check(t, Remove(a.node))
		text, err := os.ReadFile("/proc/thread-self/net/route")
		check(t, err)
		if strings.Contains(string(text), overlayName) {
			t.Error(string(text))
		}
	})
}

const poured = 1 << 20

// swallow says how much it got, on port 82.
func swallow(t *testing.T, fd int) {
	within(t, fd, func() {
		l, err := net.Listen("tcp", ":82")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				n, _ := io.CopyN(io.Discard, c, poured)
				if n == poured {
					_, _ = c.Write([]byte("all"))
				}
				c.Close()
			}
		}()
	})
}

// pour sends packets as long as the pod's interface takes: wires of 1500 bytes.
func pour(t *testing.T, to netip.Addr) {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(to.String(), "82"))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	go func() { _, _ = c.Write(make([]byte, poured)) }()
	said, err := io.ReadAll(c)
	if diff := cmp.Diff("all", string(said)); diff != "" || err != nil {
		t.Errorf("to %s: %s, %v", to, diff, err)
	}
}
