package dns_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/network/dns"
	"berth.dev/berth/internal/network/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// node is a cluster DNS in the test's own network namespace.
type node struct {
	addr   string // "127.0.0.9:53"
	events chan string
	log    *bytes.Buffer // read after the end
}

var next atomic.Int32

// serve starts the cluster DNS over a fake API.
func serve(t *testing.T, client *fake.Clientset, change ...func(*dns.Config)) node {
	t.Helper()
	if !nettest.Inside() {
		t.Skip("needs root: a network namespace of its own")
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := informers.NewSharedInformerFactory(client, 0)
	local := netip.AddrFrom4([4]byte{127, 0, 1, byte(next.Add(1))})
	events := record.NewFakeRecorder(100)
	n := node{addr: netip.AddrPortFrom(local, 53).String(), events: events.Events, log: &bytes.Buffer{}}
	cfg := dns.Config{
		Informers: f, Corefile: f.Core().V1().ConfigMaps().Informer(), Events: events, Addresses: []netip.Addr{local}, Domain: "cluster.local",
		Log: slog.New(slog.NewTextHandler(n.log, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := dns.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	f.Start(ctx.Done())
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		f.Shutdown()
	})
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatal("not ready")
	}
	return n
}

func upstreams(addrs ...string) func(*dns.Config) {
	return func(c *dns.Config) { c.Upstream = addrs }
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.LocalAddr().(*net.UDPAddr).Port
}

// ask returns the answer section as text without TTLs, sorted, and the message.
func ask(t *testing.T, server, network, name string, qtype uint16) ([]string, *mdns.Msg) {
	t.Helper()
	m := new(mdns.Msg)
	m.SetQuestion(name, qtype)
	reply, _, err := (&mdns.Client{Net: network}).Exchange(m, server)
	if err != nil {
		t.Fatalf("%s %s: %v", network, name, err)
	}
	var out []string
	for _, rr := range reply.Answer {
		switch r := rr.(type) {
		case *mdns.A:
			out = append(out, r.A.String())
		case *mdns.AAAA:
			out = append(out, r.AAAA.String())
		case *mdns.SRV:
			out = append(out, fmt.Sprintf("%d %s", r.Port, r.Target))
		case *mdns.PTR:
			out = append(out, r.Ptr)
		case *mdns.CNAME:
			out = append(out, r.Target)
		}
	}
	slices.Sort(out)
	return out, reply
}

func objects() (*corev1.Namespace, *corev1.Service, *corev1.Service, *discoveryv1.EndpointSlice) {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: "default"} }
	headless := &corev1.Service{ObjectMeta: meta("nginx"), Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, ClusterIPs: []string{corev1.ClusterIPNone},
		Ports: []corev1.ServicePort{{Name: "web", Port: 80}, {Name: "peers", Port: 2380}},
	}}
	plain := &corev1.Service{ObjectMeta: meta("read"), Spec: corev1.ServiceSpec{
		ClusterIP: "10.43.7.7", ClusterIPs: []string{"10.43.7.7", "fd00:43::7"},
		Ports: []corev1.ServicePort{{Name: "sql", Port: 3306, Protocol: corev1.ProtocolTCP}, {Name: "log", Port: 514, Protocol: corev1.ProtocolUDP}},
	}}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, headless, plain, slice("nginx-4", discoveryv1.AddressTypeIPv4, "10.42.0.1%d")
}

// slice has the pods web-0, web-1 and web-2, of which the last is not ready.
func slice(name string, family discoveryv1.AddressType, address string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "nginx"}},
		AddressType: family,
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("web"), Port: ptr.To[int32](80), Protocol: ptr.To(corev1.ProtocolTCP)},
			{Name: ptr.To("peers"), Port: ptr.To[int32](2380), Protocol: ptr.To(corev1.ProtocolTCP)},
		},
	}
	for i := range 3 {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf(address, i)}, Hostname: ptr.To(fmt.Sprintf("web-%d", i)),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(i < 2)},
		})
	}
	return slice
}

func TestNames(t *testing.T) {
	for _, domain := range []string{"cluster.local", "kube.local"} {
		t.Run(domain, func(t *testing.T) { names(t, domain) })
	}
}

func names(t *testing.T, domain string) {
	ns, headless, plain, four := objects()
	outside := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "bank", Namespace: "default"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.org",
	}}
	server := serve(t, fake.NewClientset(ns, headless, plain, outside, four, slice("nginx-6", discoveryv1.AddressTypeIPv6, "fd00:42::1%d")),
		func(c *dns.Config) { c.Domain = domain }).addr
	nothing, web := []string(nil), []string{"80 web-0.nginx.default.svc." + domain + ".", "80 web-1.nginx.default.svc." + domain + "."}
	for _, c := range []struct {
		name  string
		qtype uint16
		want  []string
	}{
		{"web-0.nginx.default.svc.DOMAIN.", mdns.TypeA, []string{"10.42.0.10"}},
		{"web-0.nginx.default.svc.DOMAIN.", mdns.TypeAAAA, []string{"fd00:42::10"}},
		{"nginx.default.svc.DOMAIN.", mdns.TypeA, []string{"10.42.0.10", "10.42.0.11"}},
		{"nginx.default.svc.DOMAIN.", mdns.TypeAAAA, []string{"fd00:42::10", "fd00:42::11"}},
		{"NGINX.default.SVC.DOMAIN.", mdns.TypeA, []string{"10.42.0.10", "10.42.0.11"}},
		{"read.default.svc.DOMAIN.", mdns.TypeA, []string{"10.43.7.7"}},
		{"read.default.svc.DOMAIN.", mdns.TypeAAAA, []string{"fd00:43::7"}},
		{"_web._tcp.nginx.default.svc.DOMAIN.", mdns.TypeSRV, web},
		{"_peers._tcp.nginx.default.svc.DOMAIN.", mdns.TypeSRV, []string{strings.Replace(web[0], "80", "2380", 1), strings.Replace(web[1], "80", "2380", 1)}},
		{"_peers._udp.nginx.default.svc.DOMAIN.", mdns.TypeSRV, nothing},
		{"_sql._tcp.read.default.svc.DOMAIN.", mdns.TypeSRV, []string{"3306 read.default.svc." + domain + "."}},
		{"_log._udp.read.default.svc.DOMAIN.", mdns.TypeSRV, []string{"514 read.default.svc." + domain + "."}},
		{"10.0.42.10.in-addr.arpa.", mdns.TypePTR, []string{"web-0.nginx.default.svc." + domain + "."}},
		{"7.7.43.10.in-addr.arpa.", mdns.TypePTR, []string{"read.default.svc." + domain + "."}},
		{"0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.4.0.0.0.0.d.f.ip6.arpa.", mdns.TypePTR, []string{"web-0.nginx.default.svc." + domain + "."}},
		{"10-42-0-99.default.pod.DOMAIN.", mdns.TypeA, []string{"10.42.0.99"}},
		{"fd00-42--99.default.pod.DOMAIN.", mdns.TypeAAAA, []string{"fd00:42::99"}},
		{"bank.default.svc.DOMAIN.", mdns.TypeA, []string{"db.example.org."}},
		{"bank.default.svc.DOMAIN.", mdns.TypeCNAME, []string{"db.example.org."}},
		{"web-2.nginx.default.svc.DOMAIN.", mdns.TypeA, nothing},
		{"nobody.default.svc.DOMAIN.", mdns.TypeA, nothing},
	} {
		c.name = strings.Replace(c.name, "DOMAIN", domain, 1)
		for _, network := range []string{"udp", "tcp"} {
			got, reply := ask(t, server, network, c.name, c.qtype)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s %s = %v (rcode %d), want %v", network, c.name, got, reply.Rcode, c.want)
			}
			for _, rr := range reply.Answer {
				if rr.Header().Ttl != 0 {
					t.Errorf("%s may be cached for %d s", c.name, rr.Header().Ttl)
				}
			}
		}
	}
}

func TestAbsenceIsNeverCachedAndEndsAtOnce(t *testing.T) {
	ns, headless, _, slice := objects()
	client := fake.NewClientset(ns, headless, slice, written(`.:53 {
    kubernetes cluster.local { # as kubeadm has it
       ttl 30
    }
    cache 30
}`))
	server := serve(t, client).addr
	const name = "web-2.nginx.default.svc.cluster.local."
	_, reply := ask(t, server, "udp", name, mdns.TypeA)
	if reply.Rcode != mdns.RcodeNameError {
		t.Fatalf("rcode %d for a pod that is not ready, want NXDOMAIN", reply.Rcode)
	}
	if soa, ok := reply.Ns[0].(*mdns.SOA); !ok || soa.Minttl != 0 || soa.Hdr.Ttl != 0 {
		t.Errorf("the absence may be cached: %v", reply.Ns)
	}
	slice.Endpoints[2].Conditions.Ready = ptr.To(true)
	if _, err := client.DiscoveryV1().EndpointSlices("default").Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for {
		if got, _ := ask(t, server, "udp", name, mdns.TypeA); slices.Equal(got, []string{"10.42.0.12"}) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the name of a ready pod does not resolve")
		}
	}
	t.Logf("resolved %s after the write", time.Since(began))
}

func TestOtherNamesAreForwardedOrRefused(t *testing.T) {
	ns, headless, _, _ := objects()
	upstreamAddr := answering(t, "192.0.2.1")
	forwarding := serve(t, fake.NewClientset(ns, headless), upstreams(upstreamAddr)).addr
	if got, _ := ask(t, forwarding, "udp", "example.test.", mdns.TypeA); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("forwarded answer = %v", got)
	}
	alone := serve(t, fake.NewClientset(ns, headless)).addr
	if _, reply := ask(t, alone, "udp", "example.test.", mdns.TypeA); reply.Rcode != mdns.RcodeRefused {
		t.Errorf("without upstream servers: rcode %d, want REFUSED", reply.Rcode)
	}
}

// answering is a DNS server elsewhere with one answer for all.
func answering(t *testing.T, address string) string {
	t.Helper()
	return upstream(t, func(w mdns.ResponseWriter, r *mdns.Msg) {
		m := new(mdns.Msg).SetReply(r)
		rr, _ := mdns.NewRR(r.Question[0].Name + " 30 IN A " + address)
		m.Answer = append(m.Answer, rr)
		_ = w.WriteMsg(m)
	})
}

func upstream(t *testing.T, answer mdns.HandlerFunc) string {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	started := make(chan struct{})
	s := &mdns.Server{Addr: addr, Net: "udp", Handler: answer, NotifyStartedFunc: func() { close(started) }}
	go func() { _ = s.ListenAndServe() }()
	<-started
	t.Cleanup(func() { _ = s.Shutdown() })
	return addr
}

func TestUpstreams(t *testing.T) {
	got := dns.Upstreams("nameserver 10.43.0.10\nnameserver 192.0.2.53\nsearch lan\n", []netip.Addr{netip.MustParseAddr("10.43.0.10")})
	if !slices.Equal(got, []string{"192.0.2.53:53"}) {
		t.Errorf("got %v", got)
	}
	if got := dns.Upstreams("", nil); len(got) != 0 {
		t.Errorf("from an empty file: %v", got)
	}
}
