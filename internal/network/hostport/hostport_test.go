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
	"golang.org/x/sys/unix"

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
	t.Cleanup(func() { // the next test begins anew
		if near, err := netlink.LinkByName("p0"); err == nil {
			check(t, netlink.LinkDel(near))
		}
		list, err := netlink.AddrList(lo, netlink.FAMILY_ALL)
		check(t, err)
		for i := range list {
			if !list[i].IP.IsLoopback() {
				check(t, netlink.AddrDel(lo, &list[i]))
			}
		}
	})
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

// echo is a server of datagrams on a port of the pod that says which it is.
func echo(t *testing.T, ns netns.NsHandle, addr, says string) {
	t.Helper()
	within(t, ns, func() error {
		c, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", addr)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = c.Close() })
		go func() {
			b := make([]byte, 8)
			for {
				_, who, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = c.WriteTo([]byte(says), who)
			}
		}()
		return nil
	})
}

// said is what answers on a connection of datagrams, asked again until it is as
// wanted; "" wants no answer.
func said(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, 8)
	last := ""
	for began := time.Now(); time.Since(began) < time.Minute; {
		if _, err := c.Write([]byte("?")); err != nil {
			last = err.Error() // refused: who was asked before has gone
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := c.Read(b)
		if last = string(b[:max(n, 0)]); err == nil && last == want {
			return
		}
	}
	t.Errorf("%s answers %q, want %q", c.RemoteAddr(), last, want)
}

// The node reaches pods by its loopback, and nobody from outside reaches it.
func TestLoopback(t *testing.T) {
	ns := wire(t)
	p := hostport.New()
	to := podspec.PortMapping{HostPort: 8080, Protocol: 6, Pod: netip.MustParseAddr(pod), Port: 80}
	only := podspec.PortMapping{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 8081, Protocol: 6, Pod: netip.MustParseAddr(pod), Port: 81}
	check(t, p.Set("a", []podspec.PortMapping{to, only}))
	for addr, want := range map[string]string{"127.0.0.1:8080": "80", "127.0.0.1:8081": "81", "127.0.0.2:8080": "80", node + ":8080": "80", node + ":8081": ""} {
		if got := ask(t, addr); got != want {
			t.Errorf("%s answers %q, want %q", addr, got, want)
		}
	}
	// What listens on the node's loopback alone is not the pod's to reach.
	l, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:5353")
	check(t, err)
	defer l.Close()
	within(t, ns, func() error {
		lo, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		check(t, os.WriteFile("/proc/sys/net/ipv4/conf/eth0/route_localnet", []byte("1"), 0o644))
		_, target, _ := net.ParseCIDR("127.0.0.1/32")
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: lo.Attrs().Index, Gw: net.ParseIP("169.254.1.1"), Dst: target}); err != nil {
			return err
		}
		c, err := net.Dial("udp4", "127.0.0.1:5353")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("let me in"))
		return err
	})
	// A packet that comes after it shows that it would have come.
	c, err := net.Dial("udp4", "127.0.0.1:5353")
	check(t, err)
	defer c.Close()
	_, err = c.Write([]byte("mine"))
	check(t, err)
	b := make([]byte, 16)
	check(t, l.SetReadDeadline(time.Now().Add(time.Minute)))
	if n, _, err := l.ReadFrom(b); err != nil || string(b[:n]) != "mine" {
		t.Errorf("the node's loopback heard %q, %v", b[:max(n, 0)], err)
	}
	check(t, hostport.Remove())
}

// Who sends datagrams on and on meets the pod that has the port now.
func TestDatagrams(t *testing.T) {
	ns := wire(t)
	echo(t, ns, pod+":53", "pod 53")
	echo(t, ns, pod+":54", "pod 54")
	mapping := func(port uint16) []podspec.PortMapping {
		return []podspec.PortMapping{{HostPort: 5300, Protocol: 17, Pod: netip.MustParseAddr(pod), Port: port}}
	}
	p := hostport.New()
	// It begins while no pod has the port: there is a flow that leads nowhere.
	check(t, p.Set("other", []podspec.PortMapping{{HostPort: 1, Protocol: 6, Pod: netip.MustParseAddr(pod), Port: 80}}))
	for _, addr := range []string{node + ":5300", "127.0.0.1:5300"} {
		c, err := (&net.Dialer{LocalAddr: &net.UDPAddr{}}).DialContext(t.Context(), "udp4", addr)
		check(t, err)
		_, err = c.Write([]byte("?"))
		check(t, err)
		check(t, p.Set("a", mapping(53)))
		said(t, c, "pod 53")
		check(t, p.Set("a", mapping(54)))
		said(t, c, "pod 54")
		check(t, p.Set("a", nil))
		check(t, p.Set("b", mapping(53)))
		said(t, c, "pod 53")
		check(t, p.Set("b", nil))
		_ = c.Close()
	}
	check(t, hostport.Remove())
}

// Pods with IPv6 addresses are reached by the node's.
func TestIPv6(t *testing.T) {
	ns := wire(t)
	const node6, pod6, gate6 = "fd00:31::1", "fd00:42::2", "fe80::1"
	for _, name := range []string{"all/forwarding", "lo/disable_ipv6", "p0/disable_ipv6"} {
		value := "0"
		if name == "all/forwarding" {
			value = "1"
		}
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name, []byte(value), 0o644); err != nil {
			t.Skipf("this kernel has no IPv6: %v", err)
		}
	}
	addr := func(h *netlink.Handle, link, ip string) {
		t.Helper()
		l, err := h.LinkByName(link)
		check(t, err)
		a, _ := netlink.ParseAddr(ip + "/128")
		a.Flags = unix.IFA_F_NODAD
		check(t, h.AddrAdd(l, a))
	}
	route := func(h *netlink.Handle, link string, r netlink.Route) {
		t.Helper()
		l, err := h.LinkByName(link)
		check(t, err)
		r.LinkIndex = l.Attrs().Index
		check(t, h.RouteReplace(&r))
	}
	near, err := netlink.NewHandle()
	check(t, err)
	defer near.Close()
	far, err := netlink.NewHandleAt(ns)
	check(t, err)
	defer far.Close()
	only := func(ip string) *net.IPNet { return &net.IPNet{IP: net.ParseIP(ip), Mask: net.CIDRMask(128, 128)} }
	addr(near, "lo", node6)
	addr(near, "p0", gate6)
	route(near, "p0", netlink.Route{Dst: only(pod6)})
	addr(far, "eth0", pod6)
	route(far, "eth0", netlink.Route{Dst: only(gate6)})
	route(far, "eth0", netlink.Route{Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}, Gw: net.ParseIP(gate6)})
	echo(t, ns, "["+pod6+"]:53", "pod 53")
	p := hostport.New()
	check(t, p.Set("a", []podspec.PortMapping{
		{HostPort: 5300, Protocol: 17, Pod: netip.MustParseAddr(pod6), Port: 53},
		{HostIP: netip.MustParseAddr(node6), HostPort: 5301, Protocol: 17, Pod: netip.MustParseAddr(pod6), Port: 53},
		{HostPort: 5300, Protocol: 17, Pod: netip.MustParseAddr(pod), Port: 53},
	}))
	for _, port := range []string{"5300", "5301"} {
		c, err := net.Dial("udp6", net.JoinHostPort(node6, port))
		check(t, err)
		said(t, c, "pod 53")
		_ = c.Close()
	}
	check(t, hostport.Remove())
}

// SCTP is led on as the others are.
func TestSCTP(t *testing.T) {
	ns := wire(t)
	listen := func() (int, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		if err != nil {
			return 0, err
		}
		return fd, nil
	}
	if fd, err := listen(); err != nil {
		t.Skipf("this kernel has no SCTP: %v", err)
	} else {
		_ = unix.Close(fd)
	}
	within(t, ns, func() error {
		fd, err := listen()
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 99, Addr: netip.MustParseAddr(pod).As4()}); err != nil {
			return err
		}
		return unix.Listen(fd, 1)
	})
	p := hostport.New()
	check(t, p.Set("a", []podspec.PortMapping{{HostPort: 9900, Protocol: 132, Pod: netip.MustParseAddr(pod), Port: 99}}))
	fd, err := listen()
	check(t, err)
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9900, Addr: netip.MustParseAddr(node).As4()}); err != nil {
		t.Errorf("connect: %v", err)
	}
	check(t, hostport.Remove())
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
