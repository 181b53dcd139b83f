package hostport_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"berth.dev/berth/internal/network/hostport"
	"berth.dev/berth/internal/network/nettest"
	"berth.dev/berth/internal/plan/podspec"
)

func TestMain(m *testing.M) { nettest.Main(m) }

const (
	node = "172.31.0.1" // on the wire
	more = "172.31.0.9" // another address of the node
	pod  = "10.42.0.2"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wire makes this namespace a node, and another one a pod with a server on
// ports 80 and 81 that says which it is.
func wire(t *testing.T) netns.NsHandle {
	t.Helper()
	if !nettest.Inside() {
		t.Skip("needs root")
	}
	lo, err := netlink.LinkByName("lo")
	check(t, err)
	check(t, netlink.LinkSetUp(lo))
	check(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
	for _, ip := range []string{node, more} {
		a, _ := netlink.ParseAddr(ip + "/32")
		check(t, netlink.AddrAdd(lo, a))
	}
	there := make(chan netns.NsHandle)
	go func() {
		runtime.LockOSThread()
		ns, err := netns.New()
		if err != nil {
			t.Error(err)
		}
		there <- ns
	}()
	ns := <-there
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "p0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}))
	near, err := netlink.LinkByName("p0")
	check(t, err)
	check(t, netlink.LinkSetUp(near))
	gate, _ := netlink.ParseAddr("169.254.1.1/32")
	check(t, netlink.AddrAdd(near, gate))
	_, to, _ := net.ParseCIDR(pod + "/32")
	check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: near.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}))

	far, err := netlink.NewHandleAt(ns)
	check(t, err)
	defer far.Close()
	eth, err := far.LinkByName("eth0")
	check(t, err)
	a, _ := netlink.ParseAddr(pod + "/32")
	check(t, far.AddrAdd(eth, a))
	check(t, far.LinkSetUp(eth))
	_, via, _ := net.ParseCIDR("169.254.1.1/32")
	check(t, far.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: via, Scope: netlink.SCOPE_LINK}))
	check(t, far.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: via.IP, Dst: nil}))
	for _, port := range []string{"80", "81"} {
		within(t, ns, func() error {
			l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", pod+":"+port)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = c.Write([]byte(port))
					_ = c.Close()
				}
			}()
			return nil
		})
	}
	return ns
}

// within runs f in a namespace.
func within(t *testing.T, ns netns.NsHandle, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	check(t, <-done)
}

// ask is what answers at an address, "" if nobody does.
func ask(t *testing.T, addr string) string {
	t.Helper()
	c, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(t.Context(), "tcp4", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	b := make([]byte, 8)
	n, _ := c.Read(b)
	return string(b[:n])
}

func TestPackets(t *testing.T) {
	ns := wire(t)
	mapping := func(hostIP string, hostPort, port uint16) podspec.PortMapping {
		m := podspec.PortMapping{HostPort: hostPort, Protocol: 6, Pod: netip.MustParseAddr(pod), Port: port}
		if hostIP != "" {
			m.HostIP = netip.MustParseAddr(hostIP)
		}
		return m
	}
	expect := func(want map[string]string) {
		t.Helper()
		for addr, answer := range want {
			if got := ask(t, addr); got != answer {
				t.Errorf("%s answers %q, want %q", addr, got, answer)
			}
		}
	}
	p := hostport.New()
	check(t, p.Replace(nil)) // there is nothing, and nothing to remove
	check(t, p.Set("a", []podspec.PortMapping{mapping("", 8080, 80), mapping(more, 8081, 81)}))
	expect(map[string]string{node + ":8080": "80", more + ":8080": "80", more + ":8081": "81", node + ":8081": "", node + ":80": ""})
	// The pod reaches itself by the node's address.
	within(t, ns, func() error {
		if got := ask(t, node+":8080"); got != "80" {
			t.Errorf("the pod reaches %q", got)
		}
		return nil
	})
	// Others come and go; a port of two pods goes to one of them.
	check(t, p.Set("b", []podspec.PortMapping{mapping("", 9090, 81), mapping("", 8080, 80)}))
	expect(map[string]string{node + ":8080": "80", node + ":9090": "81"})
	check(t, p.Set("a", []podspec.PortMapping{mapping("", 7070, 81)}))
	expect(map[string]string{node + ":7070": "81", more + ":8081": "", node + ":9090": "81"})
	// Another process begins with what runs.
	p = hostport.New()
	check(t, p.Replace(map[string][]podspec.PortMapping{"b": {mapping("", 9090, 80)}}))
	expect(map[string]string{node + ":9090": "80", node + ":7070": ""})
	check(t, p.Set("b", nil))
	expect(map[string]string{node + ":9090": ""})
	check(t, hostport.Remove())
	check(t, hostport.Remove())
}
