package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/network/nettest"
	"berth.dev/berth/internal/network/proxy"
)

func TestMain(m *testing.M) { nettest.Main(m) }

const (
	hostIP     = "172.31.0.1"
	hostIP6    = "fd31::1"
	serviceIP  = "10.43.0.50"
	serviceIP6 = "fd43::50"
)

// host prepares this namespace as a node: loopback, an address of its own,
// forwarding, and service addresses routed to loopback.
func host(t *testing.T) {
	t.Helper()
	if !nettest.Inside() {
		t.Skip("needs root")
	}
	lo := link(t, "lo")
	check(t, netlink.LinkSetUp(lo))
	if err := netlink.AddrAdd(lo, addr(hostIP+"/32")); err != nil && !errors.Is(err, syscall.EEXIST) {
		t.Fatal(err)
	}
	check(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
	check(t, os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0o644))
	own6 := addr(hostIP6 + "/128")
	own6.Flags = syscall.IFA_F_NODAD
	if err := netlink.AddrAdd(lo, own6); err != nil && !errors.Is(err, syscall.EEXIST) {
		t.Fatal(err)
	}
	if _, err := netlink.LinkByName("uplink"); err != nil { // for what is nobody's
		check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "beyond"}))
		check(t, netlink.LinkSetUp(link(t, "beyond")))
		up := link(t, "uplink")
		check(t, netlink.LinkSetUp(up))
		check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: up.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, Scope: netlink.SCOPE_LINK, Src: net.ParseIP(hostIP)}))
	}
	for text, from := range map[string]string{"10.43.0.0/16": hostIP, "fd43::/112": hostIP6} {
		_, services, _ := net.ParseCIDR(text)
		check(t, netlink.RouteReplace(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: services, Type: syscall.RTN_LOCAL, Table: 255, Scope: netlink.SCOPE_HOST, Src: net.ParseIP(from)}))
	}
}

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	check(t, err)
	return l
}

func addr(s string) *netlink.Addr {
	a, err := netlink.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pod is a network namespace connected by a veth pair, as a node makes it.
type pod struct {
	ip, ip6 string
	ns      netns.NsHandle
}

func newPod(t *testing.T, number int) pod {
	t.Helper()
	return newMachine(t, fmt.Sprintf("10.42.0.%d", number), fmt.Sprintf("fd42::%d", number))
}

// newMachine is anything that reaches the node by a wire of its own.
func newMachine(t *testing.T, ip, ip6 string) pod {
	t.Helper()
	p := pod{ip: ip, ip6: ip6}
	name := fmt.Sprintf("veth%x", netip.MustParseAddr(ip).AsSlice())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	check(t, err)
	defer old.Close()
	p.ns, err = netns.New()
	check(t, err)
	check(t, netns.Set(old))
	t.Cleanup(func() { p.ns.Close() })
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(p.ns))}))
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(name); err == nil {
			_ = netlink.LinkDel(l)
		}
	})
	out := link(t, name)
	check(t, netlink.LinkSetUp(out))
	_, dst, _ := net.ParseCIDR(p.ip + "/32")
	check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: out.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK}))
	_, dst6, _ := net.ParseCIDR(p.ip6 + "/128")
	check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: out.Attrs().Index, Dst: dst6}))
	var mac net.HardwareAddr
	p.in(t, func() {
		check(t, netlink.LinkSetUp(link(t, "lo")))
		eth := link(t, "eth0")
		check(t, netlink.LinkSetUp(eth))
		check(t, netlink.AddrAdd(eth, addr(p.ip+"/32")))
		gw := net.ParseIP("169.254.1.1")
		check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: &net.IPNet{IP: gw, Mask: net.CIDRMask(32, 32)}, Scope: netlink.SCOPE_LINK}))
		check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: gw}))
		check(t, netlink.NeighSet(&netlink.Neigh{LinkIndex: eth.Attrs().Index, IP: gw, HardwareAddr: out.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT}))
		own := addr(p.ip6 + "/128")
		own.Flags = syscall.IFA_F_NODAD
		check(t, netlink.AddrAdd(eth, own))
		gw6 := net.ParseIP("fe80::1")
		check(t, netlink.NeighSet(&netlink.Neigh{LinkIndex: eth.Attrs().Index, Family: netlink.FAMILY_V6, IP: gw6, HardwareAddr: out.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT}))
		check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}, Gw: gw6}))
		mac = eth.Attrs().HardwareAddr
	})
	check(t, netlink.NeighSet(&netlink.Neigh{LinkIndex: out.Attrs().Index, Family: netlink.FAMILY_V6, IP: net.ParseIP(p.ip6), HardwareAddr: mac, State: netlink.NUD_PERMANENT}))
	return p
}

// in runs f inside the pod's namespace.
func (p pod) in(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(p.ns); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// serve answers each connection with the pod's name and the peer it sees.
func (p pod) serve(t *testing.T, port int) {
	t.Helper()
	p.in(t, func() {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
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
				from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				fmt.Fprintf(c, "%s from %s", p.ip, strings.TrimPrefix(from, "::ffff:"))
				c.Close()
			}
		}()
	})
}

// call connects to a Service and returns what answers.
func call(to string) (string, error) {
	c, err := net.DialTimeout("tcp", to, 30*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	return string(text), err
}

func start(t *testing.T, client *fake.Clientset) *proxy.Proxy {
	t.Helper()
	f := informers.NewSharedInformerFactory(client, 0)
	p, err := proxy.New(proxy.Config{
		Informers: f, Log: slog.New(slog.DiscardHandler),
		Ranges: proxy.Ranges{
			Cluster:  []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd42::/64")},
			Services: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd43::/112")},
		},
		NodeName: "here", Node: f.Core().V1().Nodes().Informer(),
	})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	f.Start(ctx.Done())
	go func() { ended <- p.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
		f.Shutdown()
		check(t, proxy.Remove())
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("not ready")
	}
	return p
}

func service() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: serviceIP, ClusterIPs: []string{serviceIP}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func slice(pods ...pod) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}},
	}
	for _, p := range pods {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{p.ip}})
	}
	return s
}

// eventually repeats until the rules have caught up with the API.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not so after a minute: %s", what)
		}
	}
}

func TestPacketsReachEveryEndpointAndOnlyThem(t *testing.T) {
	host(t)
	a, b, c := newPod(t, 11), newPod(t, 12), newPod(t, 13)
	for _, p := range []pod{a, b, c} {
		p.serve(t, 8080)
	}
	client := fake.NewClientset(service(), slice(a, b))
	start(t, client)
	at := serviceIP + ":80"

	seen := map[string]int{}
	for range 60 {
		text, err := call(at)
		check(t, err)
		seen[text]++
	}
	if seen[a.ip+" from "+hostIP] == 0 || seen[b.ip+" from "+hostIP] == 0 || len(seen) != 2 {
		t.Errorf("the host reached %v; want both endpoints, from the node's address", seen)
	}

	// A pod keeps its own address, but an endpoint that reaches itself sees the node's.
	c.in(t, func() {
		if text, err := call(at); err != nil || (text != a.ip+" from "+c.ip && text != b.ip+" from "+c.ip) {
			t.Errorf("from a third pod: %q, %v", text, err)
		}
	})
	hairpins := 0
	a.in(t, func() {
		for range 40 {
			text, err := call(at)
			if err != nil {
				t.Errorf("from an endpoint: %v", err)
				return
			}
			if text != b.ip+" from "+a.ip {
				hairpins++
			}
		}
	})
	if hairpins == 0 {
		t.Error("an endpoint never reached itself through its Service")
	}

	// The set of endpoints changes: the rules follow.
	s := slice(c)
	_, err := client.DiscoveryV1().EndpointSlices("default").Update(t.Context(), s, metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "only the third pod answers", func() bool { text, _ := call(at); return text == c.ip+" from "+hostIP })
	for range 20 {
		if text, err := call(at); err != nil || text != c.ip+" from "+hostIP {
			t.Fatalf("after the change: %q, %v", text, err)
		}
	}

	// Without endpoints the connection is refused, from the host and from a pod.
	check(t, client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), "web-1", metav1.DeleteOptions{}))
	refused := func() bool { _, err := call(at); return errors.Is(err, syscall.ECONNREFUSED) }
	eventually(t, "refused from the host", refused)
	a.in(t, func() {
		if !refused() {
			t.Error("not refused from a pod")
		}
	})
	// An address of the range that no Service has is refused too, even where the
	// node itself listens on that port.
	l, err := net.Listen("tcp4", "0.0.0.0:80")
	check(t, err)
	defer l.Close()
	if _, err := call("10.43.0.99:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("an unused service address: %v", err)
	}
}

func TestRestartReplacesTheRulesAtOnce(t *testing.T) {
	host(t)
	a := newPod(t, 21)
	a.serve(t, 8080)
	client := fake.NewClientset(service(), slice(a))
	for range 2 { // the second one finds nothing; a killed one would leave its table
		t.Run("", func(t *testing.T) {
			start(t, client)
			if text, err := call(serviceIP + ":80"); err != nil || text != a.ip+" from "+hostIP {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

func TestThousandsOfServices(t *testing.T) {
	host(t)
	a := newPod(t, 31)
	a.serve(t, 8080)
	client := fake.NewClientset()
	const n = 2000
	for i := range n {
		svc, s := service(), slice(a)
		svc.Name = fmt.Sprintf("web%d", i)
		svc.Spec.ClusterIP = fmt.Sprintf("10.43.%d.%d", 1+i/250, i%250)
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
		s.Name, s.Labels = svc.Name, map[string]string{discoveryv1.LabelServiceName: svc.Name}
		check(t, client.Tracker().Add(svc))
		check(t, client.Tracker().Add(s))
	}
	began := time.Now()
	start(t, client)
	t.Logf("%d services loaded in %s", n, time.Since(began))
	for _, ip := range []string{"10.43.1.0", "10.43.8.249"} {
		if text, err := call(ip + ":80"); err != nil || text != a.ip+" from "+hostIP {
			t.Errorf("%s: %q, %v", ip, text, err)
		}
	}
}
