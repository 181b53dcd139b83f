package dns_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/network/dns"
)

// serve starts the cluster DNS on a free loopback port over a fake API.
func serve(t *testing.T, client *fake.Clientset, upstream ...string) string {
	t.Helper()
	port := freePort(t)
	f := informers.NewSharedInformerFactory(client, 0)
	local := netip.MustParseAddr("127.0.0.1")
	s, err := dns.New(dns.Config{
		Informers: f, Addresses: []netip.Addr{local}, Port: port, Domain: "cluster.local",
		Upstream: upstream, Log: slog.New(slog.DiscardHandler),
	})
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
	return fmt.Sprintf("127.0.0.1:%d", port)
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
		Ports: []corev1.ServicePort{{Name: "web", Port: 80}},
	}}
	plain := &corev1.Service{ObjectMeta: meta("read"), Spec: corev1.ServiceSpec{
		ClusterIP: "10.43.7.7", ClusterIPs: []string{"10.43.7.7"}, Ports: []corev1.ServicePort{{Name: "sql", Port: 3306, Protocol: corev1.ProtocolTCP}},
	}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "nginx-1", Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "nginx"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("web"), Port: ptr.To[int32](80), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for i := range 3 {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.42.0.%d", i+10)}, Hostname: ptr.To(fmt.Sprintf("web-%d", i)),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(i < 2)}, // web-2 is not ready
		})
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, headless, plain, slice
}

func TestNames(t *testing.T) {
	ns, headless, plain, slice := objects()
	server := serve(t, fake.NewClientset(ns, headless, plain, slice))
	for _, c := range []struct {
		name  string
		qtype uint16
		want  []string
	}{
		{"web-0.nginx.default.svc.cluster.local.", mdns.TypeA, []string{"10.42.0.10"}},
		{"nginx.default.svc.cluster.local.", mdns.TypeA, []string{"10.42.0.10", "10.42.0.11"}},
		{"NGINX.default.SVC.cluster.local.", mdns.TypeA, []string{"10.42.0.10", "10.42.0.11"}},
		{"read.default.svc.cluster.local.", mdns.TypeA, []string{"10.43.7.7"}},
		{"_web._tcp.nginx.default.svc.cluster.local.", mdns.TypeSRV, []string{"80 web-0.nginx.default.svc.cluster.local.", "80 web-1.nginx.default.svc.cluster.local."}},
		{"10.0.42.10.in-addr.arpa.", mdns.TypePTR, []string{"web-0.nginx.default.svc.cluster.local."}},
		{"7.7.43.10.in-addr.arpa.", mdns.TypePTR, []string{"read.default.svc.cluster.local."}},
		{"10-42-0-99.default.pod.cluster.local.", mdns.TypeA, []string{"10.42.0.99"}},
	} {
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
	client := fake.NewClientset(ns, headless, slice)
	server := serve(t, client)
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
		if time.Since(began) > 2*time.Second {
			t.Fatal("the name of a ready pod does not resolve")
		}
	}
	t.Logf("resolved %s after the write", time.Since(began))
}

func TestOtherNamesAreForwardedOrRefused(t *testing.T) {
	ns, headless, _, _ := objects()
	upstreamAddr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	upstream := &mdns.Server{Addr: upstreamAddr, Net: "udp", Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, r *mdns.Msg) {
		m := new(mdns.Msg).SetReply(r)
		rr, _ := mdns.NewRR(r.Question[0].Name + " 30 IN A 192.0.2.1")
		m.Answer = append(m.Answer, rr)
		_ = w.WriteMsg(m)
	})}
	started := make(chan struct{})
	upstream.NotifyStartedFunc = func() { close(started) }
	go func() { _ = upstream.ListenAndServe() }()
	<-started
	defer func() { _ = upstream.Shutdown() }()
	forwarding := serve(t, fake.NewClientset(ns, headless), upstreamAddr)
	if got, _ := ask(t, forwarding, "udp", "example.test.", mdns.TypeA); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("forwarded answer = %v", got)
	}
	alone := serve(t, fake.NewClientset(ns, headless))
	if _, reply := ask(t, alone, "udp", "example.test.", mdns.TypeA); reply.Rcode != mdns.RcodeRefused {
		t.Errorf("without upstream servers: rcode %d, want REFUSED", reply.Rcode)
	}
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
