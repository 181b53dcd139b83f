// Package route measures how soon a node's routes follow what other nodes and
// their pods do, in a network namespace of its own, with the real API server and
// datastore. Run it by hand, as root:
// go test -run '^$' -bench . -benchtime 1x ./bench/route
package route

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/network/nettest"
	"berth.dev/berth/internal/network/route"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

var (
	times = flag.Int("times", 50, "how often each thing happens")
	pods  = flag.Int("pods", 100, "how many pods a node has that joins, moves and leaves")
)

const here = "192.0.2.1"

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	nettest.Main(m)
}

// BenchmarkRoutes is from the beginning of a write to the API to the kernel's word
// that the last route which it asks for has changed.
func BenchmarkRoutes(b *testing.B) {
	if !nettest.Inside() {
		b.Skip("needs root: a network namespace of its own")
	}
	segment(b)
	api := apitest.Start(b)
	client, err := dynamic.NewForConfig(api.Config)
	check(b, err)
	grants := client.Resource(spiderpoolv2beta1.SchemeGroupVersion.WithResource("spiderendpoints")).Namespace("default")
	nodes := api.Client.CoreV1().Nodes()
	k := follow(b)
	r, err := route.New(route.Config{Client: api.Config, NodeName: "here", NodeIPs: []netip.Addr{netip.MustParseAddr(here)}, Log: slog.New(slog.DiscardHandler)})
	check(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, func() {}) }()
	b.Cleanup(func() { cancel(); check(b, <-ended) })
	for i := range 2 {
		_, err := nodes.Create(b.Context(), node(fmt.Sprint("node-", i), 2+i), metav1.CreateOptions{})
		check(b, err)
	}

	for b.Loop() {
		s := samples{}
		for i := range *times {
			g := grant(fmt.Sprint("web-", i), "node-0", address(0, i))
			s.time(b, "pod-comes", func() error {
				var err error
				g, err = grants.Create(b.Context(), g, metav1.CreateOptions{})
				return err
			}, func() { k.await(b, 2, address(0, i)) })
			check(b, unstructured.SetNestedField(g.Object, "node-1", "status", "current", "node"))
			s.time(b, "pod-moves", func() error { _, err := grants.Update(b.Context(), g, metav1.UpdateOptions{}); return err }, func() { k.await(b, 3, address(0, i)) })
			s.time(b, "pod-goes", func() error { return grants.Delete(b.Context(), g.GetName(), metav1.DeleteOptions{}) }, func() { k.await(b, 0, address(0, i)) })
		}
		var all []netip.Addr
		for i := range *pods {
			all = append(all, address(1, i))
			_, err := grants.Create(b.Context(), grant(fmt.Sprint("db-", i), "late", address(1, i)), metav1.CreateOptions{})
			check(b, err)
		}
		for range *times {
			late := node("late", 4)
			s.time(b, "node-joins", func() error {
				var err error
				late, err = nodes.Create(b.Context(), late, metav1.CreateOptions{})
				return err
			}, func() { k.await(b, 4, all...) })
			late.Status = node("late", 5).Status
			s.time(b, "node-changes", func() error { _, err := nodes.UpdateStatus(b.Context(), late, metav1.UpdateOptions{}); return err }, func() { k.await(b, 5, all...) })
			s.time(b, "node-leaves", func() error { return nodes.Delete(b.Context(), "late", metav1.DeleteOptions{}) }, func() { k.await(b, 0, all...) })
		}
		for i := range *pods {
			check(b, grants.Delete(b.Context(), fmt.Sprint("db-", i), metav1.DeleteOptions{}))
		}
		for what, took := range s {
			b.ReportMetric(figure.Percentile(took, 50), what+"-p50-ms")
			b.ReportMetric(figure.Percentile(took, 99), what+"-p99-ms")
		}
		b.ReportMetric(0, "ns/op")
		neighbours(b)
	}
}

// samples are how long things took, by what they are.
type samples map[string][]time.Duration

func (s samples) time(b *testing.B, what string, do func() error, wait func()) {
	b.Helper()
	began := time.Now()
	check(b, do())
	wait()
	s[what] = append(s[what], time.Since(began))
}

// neighbours fails when the kernel has noted a pod of another node as a neighbour
// of this one: packets for it would go astray when its address comes here.
func neighbours(b *testing.B) {
	b.Helper()
	list, err := netlink.NeighList(0, unix.AF_INET)
	check(b, err)
	for _, n := range list {
		if n.IP.To4()[0] == 10 {
			b.Errorf("a pod's address is left as a neighbour: %v", n)
		}
	}
}

// kernel is what it says of its routes.
type kernel struct {
	mu      sync.Mutex
	via     map[netip.Addr]byte // the last number of the next hop's address
	changed chan struct{}
}

func follow(b *testing.B) *kernel {
	b.Helper()
	k := &kernel{via: map[netip.Addr]byte{}, changed: make(chan struct{}, 1)}
	updates, done := make(chan netlink.RouteUpdate, 1024), make(chan struct{})
	check(b, netlink.RouteSubscribe(updates, done))
	b.Cleanup(func() { close(done) })
	go func() {
		for u := range updates {
			if u.Dst == nil {
				continue
			}
			to, _ := netip.AddrFromSlice(u.Dst.IP)
			k.mu.Lock()
			if u.Type == unix.RTM_DELROUTE {
				delete(k.via, to.Unmap())
			} else if gw := u.Gw.To4(); gw != nil {
				k.via[to.Unmap()] = gw[3]
			}
			k.mu.Unlock()
			select {
			case k.changed <- struct{}{}:
			default:
			}
		}
	}()
	return k
}

// await waits until all these pods are led to that next hop; 0 is none.
func (k *kernel) await(b *testing.B, via byte, pods ...netip.Addr) {
	b.Helper()
	over := time.After(time.Minute)
	for {
		left := 0
		k.mu.Lock()
		for _, a := range pods {
			if k.via[a] != via {
				left++
			}
		}
		k.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-k.changed:
		case <-over:
			b.Fatalf("%d of %d pods are not led to next hop %d", left, len(pods), via)
		}
	}
}

// segment is a wire with this node's address, on which all others are.
func segment(b *testing.B) {
	b.Helper()
	check(b, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "beyond"}))
	for _, name := range []string{"lo", "beyond", "uplink"} {
		l, err := netlink.LinkByName(name)
		check(b, err)
		check(b, netlink.LinkSetUp(l))
		if name == "uplink" {
			check(b, netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(here).To4(), Mask: net.CIDRMask(24, 32)}}))
		}
	}
}

func node(name string, at int) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprint("192.0.2.", at)}}
	return n
}

func address(third, i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 42, byte(2*third + i/250), byte(1 + i%250)})
}

func grant(name, node string, a netip.Addr) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": spiderpoolv2beta1.SchemeGroupVersion.String(), "kind": "SpiderEndpoint",
		"metadata": map[string]any{"namespace": "default", "name": name},
		"status": map[string]any{"ownerControllerName": name, "ownerControllerType": "Pod", "current": map[string]any{
			"uid": name, "node": node, "ips": []any{map[string]any{"interface": "eth0", "ipv4": a.String() + "/16"}},
		}},
	}}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
