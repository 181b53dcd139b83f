package proxy

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/bench/figure"
	wire "berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/network/policy"
	"berth.dev/berth/internal/network/proxy"
)

var rounds = flag.Int("rounds", 60, "how often each way is measured")

const (
	stream = 30 * time.Millisecond // of each measurement
	asks   = 300
	alone  = 7 // the Service whose only endpoint is the second pod
)

// BenchmarkPackets is what the rules of 10,000 Services cost: a stream and a
// ping-pong between two pods of a node with the rules, straight and through a
// cluster IP, without a NetworkPolicy and with one for each pod. Beside it stands
// another node that has the same wires and routes and no rule ("bare"), and one
// veth pair between its pods, past that node ("direct"). All connections are
// there from the start, each way is measured for an instant in turn, and compared
// within such a round: so all see the same machine.
func BenchmarkPackets(b *testing.B) {
	client := services(b, 10_000, "10.42.0.2")
	s := slice(alone, "10.42.0.2")
	s.Endpoints = s.Endpoints[:1]
	check(b, client.Tracker().Update(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), s, s.Namespace))
	node(b)
	one, two := newPod(b, "one", "10.42.0.1"), newPod(b, "two", "10.42.0.2")
	listen(b, two)
	plain := newNamespace(b)
	var first, second pod
	plain.in(b, func() {
		node(b)
		first, second = newPod(b, "one", "10.42.0.1"), newPod(b, "two", "10.42.0.2")
	})
	direct(b, first, second)
	listen(b, second)
	stop := proxied(b, client)
	defer func() { stop(); check(b, proxy.Remove()) }()
	for b.Loop() {
		all := []*way{
			{name: "direct", from: first, to: "10.99.0.2:8080"},
			{name: "bare", from: first, to: "10.42.0.2:8080"},
			{name: "pod", from: one, to: "10.42.0.2:8080"},
			{name: "service", from: one, to: clusterIP(alone) + ":80"},
		}
		compare(b, "", all)
		unguard := guarded(b)
		compare(b, "guarded-", all)
		unguard()
		b.ReportMetric(0, "ns/op")
		b.Log("load ", figure.Load())
	}
}

// way is one of those between two pods.
type way struct {
	name         string
	from         pod
	to           string
	stream, ping net.Conn
}

// compare measures all ways in turn.
func compare(b *testing.B, prefix string, ways []*way) {
	b.Helper()
	for _, w := range ways {
		w.stream, w.ping = w.from.dial(b, w.to), w.from.dial(b, w.to)
		for kind, conn := range map[string]net.Conn{"s": w.stream, "p": w.ping} {
			defer conn.Close()
			_, err := conn.Write([]byte(kind))
			check(b, err)
		}
	}
	var all figure.Series
	for i := range *rounds {
		s := figure.Sample{}
		for j := range ways {
			ways[(i+j)%len(ways)].measure(b, s) // none is always the first
		}
		for _, way := range []string{"pod", "service"} {
			s[way+"/bare-%"] = 100 * s[way+"-Mbit/s"] / s["bare-Mbit/s"]
			s["rtt-bare/"+way+"-%"] = 100 * s["bare-rtt-us"] / s[way+"-rtt-us"]
		}
		all = append(all, s)
	}
	for name := range all[0] {
		median, _ := all.Median(name)
		b.ReportMetric(median, prefix+name)
	}
}

// measure sends for a moment, then asks and waits for the answer.
func (w *way) measure(b *testing.B, s figure.Sample) {
	b.Helper()
	block, sent, began := make([]byte, 128<<10), 0, time.Now()
	for time.Since(began) < stream {
		n, err := w.stream.Write(block)
		check(b, err)
		sent += n
	}
	s[w.name+"-Mbit/s"] = float64(sent) * 8 / 1e6 / time.Since(began).Seconds()
	took := make([]time.Duration, 0, asks)
	for range asks {
		began := time.Now()
		_, err := w.ping.Write(block[:1])
		check(b, err)
		_, err = io.ReadFull(w.ping, block[:1])
		check(b, err)
		took = append(took, time.Since(began))
	}
	s[w.name+"-rtt-us"] = 1000 * figure.Percentile(took, 50)
}

// proxied has the rules of all Services in force until stop.
func proxied(b *testing.B, client kubernetes.Interface) (stop func()) {
	b.Helper()
	f := informers.NewSharedInformerFactory(client, 0)
	p := made(b, f)
	watching, over := context.WithCancel(b.Context())
	f.StartWithContext(watching)
	f.WaitForCacheSync(watching.Done())
	end := run(b, p)
	return func() { end(); over(); f.Shutdown() }
}

// guarded has a policy in force until stop: for both pods, and letting each other in.
func guarded(b *testing.B) (stop func()) {
	b.Helper()
	pod := func(name, ip string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{NodeName: "here"}}
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
		return p
	}
	web := metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "np"}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: web, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &web}}}},
		Egress:  []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &web}}}},
	}}
	api := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, pod("one", "10.42.0.1"), pod("two", "10.42.0.2"), np)
	f := informers.NewSharedInformerFactory(api, 0)
	e, err := policy.New(policy.Config{Informers: f, Client: api, NodeName: "here", Log: slog.New(slog.DiscardHandler)})
	check(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	f.StartWithContext(ctx)
	go func() { ended <- e.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		b.Fatal(errors.Join(errors.New("not ready"), err))
	}
	return func() {
		cancel()
		check(b, <-ended)
		f.Shutdown()
		check(b, policy.Remove())
	}
}

// listen swallows streams and answers pings.
func listen(b *testing.B, at pod) {
	b.Helper()
	at.in(b, func() {
		l, err := net.Listen("tcp", ":8080")
		check(b, err)
		b.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					kind := make([]byte, 1)
					if _, err := io.ReadFull(c, kind); err != nil {
						return
					}
					if kind[0] == 's' {
						_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 128<<10))
						return
					}
					for {
						if _, err := io.ReadFull(c, kind); err != nil {
							return
						}
						if _, err := c.Write(kind); err != nil {
							return
						}
					}
				}()
			}
		}()
	})
}

// namespace is a network of its own; it goes with its last thread and handle.
type namespace struct{ ns netns.NsHandle }

func newNamespace(b *testing.B) (n namespace) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	check(b, err)
	defer old.Close()
	n.ns, err = netns.New()
	check(b, err)
	check(b, netns.Set(old))
	b.Cleanup(func() { n.ns.Close() })
	return n
}

// pod is a network namespace with a wire to the node.
type pod struct {
	namespace
	ip string
}

// newPod has its wire as Berth makes it.
func newPod(b *testing.B, name, ip string) pod {
	b.Helper()
	p := pod{ip: ip, namespace: newNamespace(b)}
	check(b, wire.Attach(wire.Wire{
		Host: wire.HostName(name, "eth0"), Pod: "eth0", NetNS: int(p.ns), Owner: "default/" + name, Addrs: []netip.Addr{netip.MustParseAddr(ip)}, MTU: 1500,
	}))
	return p
}

// node sets this namespace up as one.
func node(b *testing.B) {
	b.Helper()
	check(b, wire.SetUp(wire.Node{
		PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")},
	}))
}

// direct is a veth pair between two pods, past the node.
func direct(b *testing.B, one, two pod) {
	b.Helper()
	one.in(b, func() {
		check(b, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "direct"}, PeerName: "direct", PeerNamespace: netlink.NsFd(int(two.ns))}))
	})
	for ip, p := range map[string]pod{"10.99.0.1/24": one, "10.99.0.2/24": two} {
		p.in(b, func() {
			l := link(b, "direct")
			a, err := netlink.ParseAddr(ip)
			check(b, err)
			check(b, netlink.AddrAdd(l, a))
			check(b, netlink.LinkSetUp(l))
		})
	}
}

// in runs f inside the namespace.
func (n namespace) in(b *testing.B, f func()) {
	b.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(n.ns); err != nil {
			b.Error(err)
			return
		}
		f()
	}()
	<-done
}

func (p pod) dial(b *testing.B, to string) (conn net.Conn) {
	b.Helper()
	p.in(b, func() {
		var err error
		if conn, err = net.DialTimeout("tcp", to, 30*time.Second); err != nil {
			b.Errorf("%s: %v", to, err)
		}
	})
	if conn == nil {
		b.Fatal("no connection")
	}
	return conn
}

func link(b *testing.B, name string) netlink.Link {
	b.Helper()
	l, err := netlink.LinkByName(name)
	check(b, err)
	return l
}
