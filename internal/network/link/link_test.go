package link

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// listen serves one TCP port in a namespace and answers with the peer's address.
func listen(t *testing.T, fd int, addr string) {
	within(t, fd, func() {
		l, err := net.Listen("tcp", addr)
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
				fmt.Fprint(c, c.RemoteAddr().String())
				c.Close()
			}
		}()
	})
}

// call connects from this thread's namespace and returns what the server saw.
func call(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 3*time.Second)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(soon())
	b := make([]byte, 100)
	n, _ := c.Read(b)
	host, _, _ := net.SplitHostPort(string(b[:n]))
	return host
}

var cluster = Node{
	PodCIDRs:     []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00:42::/64")},
	ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd00:43::/112")},
	Local:        []netip.Addr{netip.MustParseAddr("10.43.0.10"), netip.MustParseAddr("fd00:43::a")},
	NodeIPs:      []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
}

func TestPodsReachEachOther(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		uplink(t, "192.0.2.7/24", "2001:db8::7/64")
		check(t, SetUp(cluster))
		a, b := space(t), space(t)
		check(t, Attach(wire(a, "a", "10.42.0.2", "fd00:42::2")))
		check(t, Attach(wire(b, "b", "10.42.0.3", "fd00:42::3")))
		listen(t, b, ":80")
		within(t, a, func() {
			if got := call(t, "10.42.0.3:80"); got != "10.42.0.2" {
				t.Errorf("the other pod saw %q", got)
			}
			if got := call(t, "[fd00:42::3]:80"); got != "fd00:42::2" {
				t.Errorf("the other pod saw %q", got)
			}
			if _, err := net.DialTimeout("tcp", "10.42.0.9:80", time.Second); err == nil || !strings.Contains(err.Error(), "host") {
				t.Errorf("an address without a pod: %v", err)
			}
		})
		if got := call(t, "10.42.0.3:80"); got != "192.0.2.7" {
			t.Errorf("the pod saw the node as %q", got)
		}
		if got := call(t, "[fd00:42::3]:80"); got != "2001:db8::7" {
			t.Errorf("the pod saw the node as %q", got)
		}
		// A pod cannot speak for another: strict reverse path.
		within(t, a, func() {
			eth, _ := netlink.LinkByName("eth0")
			stolen, _ := netlink.ParseAddr("10.42.0.77/32")
			check(t, netlink.AddrAdd(eth, stolen))
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: stolen.IP}, Timeout: 300 * time.Millisecond}
			if c, err := d.Dial("tcp", "10.42.0.3:80"); err == nil {
				c.Close()
				t.Error("a pod used an address that is not its own")
			}
		})
	})
}

func TestStickyAddressMovesToANewSandbox(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		uplink(t, "192.0.2.7/24")
		check(t, SetUp(cluster))
		old, fresh := space(t), space(t)
		check(t, Attach(wire(old, "old", "10.42.0.2")))
		check(t, Attach(wire(fresh, "fresh", "10.42.0.2"))) // before the old one is taken down
		listen(t, fresh, ":80")
		check(t, Detach(HostName("old", "eth0")))
		call(t, "10.42.0.2:80")
	})
}

func TestAttachAfterAnInterruptedAttempt(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		uplink(t, "192.0.2.7/24")
		check(t, SetUp(cluster))
		pod := space(t)
		w := wire(pod, "a", "10.42.0.2")
		for range 3 {
			check(t, Attach(w))
		}
		half := w
		half.Host = HostName("another", "eth0") // eth0 exists in the pod
		check(t, Attach(half))
		listen(t, pod, ":80")
		call(t, "10.42.0.2:80")
		list, err := List()
		check(t, err)
		if len(list) != 1 || list[0].Owner != "default/a" || list[0].Host != half.Host {
			t.Errorf("%+v", list)
		}
	})
}

func TestDetachTwiceAndNothing(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		w := wire(space(t), "a", "10.42.0.2")
		check(t, Attach(w))
		check(t, Detach(w.Host))
		check(t, Detach(w.Host))
		check(t, Detach(HostName("never", "eth0")))
	})
}

func TestLongestPodName(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		w := wire(space(t), "a", "10.42.0.2")
		w.Owner = strings.Repeat("n", 63) + "/" + strings.Repeat("p", 253)
		check(t, Attach(w))
		list, err := List()
		check(t, err)
		if len(list) != 1 || !strings.HasPrefix(w.Owner, list[0].Owner) {
			t.Errorf("%+v", list)
		}
	})
}

func TestAttachFailsCleanly(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		f, err := os.Open("/dev/null")
		check(t, err)
		defer f.Close()
		if err := Attach(wire(int(f.Fd()), "a", "10.42.0.2")); err == nil {
			t.Error("attached to /dev/null")
		}
		if err := Attach(wire(space(t), "b")); err == nil {
			t.Error("attached without an address")
		}
		if list, _ := List(); len(list) != 0 {
			t.Errorf("left behind: %+v", list)
		}
	})
}

// settled is the picture once IPv6, which works in the background, is done.
func settled(t *testing.T) []string {
	t.Helper()
	for last := picture(t); ; {
		time.Sleep(100 * time.Millisecond)
		now := picture(t)
		if slices.Equal(now, last) {
			return now
		}
		last = now
	}
}

// picture is all that this package may leave in a namespace.
func picture(t *testing.T) []string {
	t.Helper()
	var out []string
	links, err := netlink.LinkList()
	check(t, err)
	for _, l := range links {
		out = append(out, "link "+l.Attrs().Name)
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		check(t, err)
		for _, a := range addrs {
			out = append(out, "addr "+a.IPNet.String())
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		check(t, err)
		for _, r := range routes {
			out = append(out, "route "+r.String())
		}
	}
	// Link-local addresses come when the kernel is done with its checks.
	out = slices.DeleteFunc(out, func(s string) bool { return strings.Contains(s, "fe80:") || strings.Contains(s, "ff00::") })
	slices.Sort(out)
	return out
}

func TestRemoveLeavesNothing(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		uplink(t, "192.0.2.7/24", "2001:db8::7/64")
		lo, _ := netlink.LinkByName("lo")
		check(t, netlink.LinkSetUp(lo))
		check(t, apply(cluster.settings())) // forwarding stays on, and brings anycast routes
		before := settled(t)
		check(t, SetUp(cluster))
		check(t, Attach(wire(space(t), "a", "10.42.0.2", "fd00:42::2")))
		once := settled(t)
		check(t, SetUp(cluster)) // a restart
		if again := settled(t); !slices.Equal(once, again) {
			t.Errorf("not idempotent:\n%s\n%s", strings.Join(once, "\n"), strings.Join(again, "\n"))
		}
		check(t, Remove(cluster))
		check(t, Remove(cluster))
		if after := settled(t); !slices.Equal(before, after) {
			t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	})
}

func TestSetUpRefusesTheMachinesOwnRange(t *testing.T) {
	for cidr, want := range map[string]string{
		"10.43.7.7/24": "the range 10.43.0.0/16 of the services holds this machine's own address 10.43.7.7 by interface up0; choose another range with --service-cidr",
		"10.42.7.7/32": "the range 10.42.0.0/16 of the pods holds this machine's own address 10.42.7.7 by interface up0; choose another range with --cluster-cidr",
		"10.1.2.3/8":   "the range 10.42.0.0/16 of the pods lies in the network 10.0.0.0/8, which this machine is in by interface up0; choose another range with --cluster-cidr",
	} {
		inSpace(t, func(t *testing.T) {
			uplink(t, cidr)
			before := settled(t)
			if err := cluster.Clash(); err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", cidr, err, want)
			}
			if neighbours := strings.Contains(want, "lies in"); neighbours {
				check(t, SetUp(cluster)) // it goes on where it is carried to
				return
			}
			if err := SetUp(cluster); err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", cidr, err, want)
			}
			if after := settled(t); !slices.Equal(before, after) {
				t.Errorf("%s: something is made all the same: %q, before %q", cidr, after, before)
			}
		})
	}
}

func TestFindUplink(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		if _, err := FindUplink(); err == nil || !strings.Contains(err.Error(), "--node-ip") {
			t.Error(err)
		}
		uplink(t, "192.0.2.7/24", "2001:db8::7/64")
		check(t, Attach(wire(space(t), "a", "10.42.0.2")))
		up, err := FindUplink()
		check(t, err)
		if up.Name != "up0" || up.MTU != 1450 || fmt.Sprint(up.IPs) != "[192.0.2.7 2001:db8::7]" {
			t.Errorf("%+v", up)
		}
		// The default route wins over the first interface.
		peer, _ := netlink.LinkByName("peer0")
		addr, _ := netlink.ParseAddr("198.51.100.1/24")
		check(t, netlink.AddrAdd(peer, addr))
		check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: peer.Attrs().Index, Gw: net.ParseIP("198.51.100.2")}))
		up, err = FindUplink()
		check(t, err)
		if up.Name != "peer0" {
			t.Errorf("%+v", up)
		}
	})
}

func TestTiming(t *testing.T) {
	inSpace(t, func(t *testing.T) {
		check(t, SetUp(cluster))
		const n = 20
		var attach, detach []time.Duration
		for i := range n {
			w := wire(space(t), fmt.Sprint("p", i), fmt.Sprint("10.42.1.", i+1))
			start := time.Now()
			check(t, Attach(w))
			attach = append(attach, time.Since(start))
		}
		for i := range n {
			start := time.Now()
			check(t, Detach(HostName(fmt.Sprint("p", i), "eth0")))
			detach = append(detach, time.Since(start))
		}
		slices.Sort(attach)
		slices.Sort(detach)
		t.Logf("attach: median %s, worst %s; detach: median %s, worst %s", attach[n/2], attach[n-1], detach[n/2], detach[n-1])
	})
}
