package proxy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

const (
	nodePort   = "172.31.0.1:30080"
	external   = "192.0.2.7:80"
	balanced   = "192.0.2.8:80"
	healthPort = 31999
)

// everyWay is a Service with all ways in.
func everyWay(policy corev1.ServiceExternalTrafficPolicy) *corev1.Service {
	svc := service()
	svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, policy
	svc.Spec.Ports[0].NodePort, svc.Spec.ExternalIPs = 30080, []string{"192.0.2.7"}
	svc.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/25"}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.8"}}
	if policy == corev1.ServiceExternalTrafficPolicyLocal {
		svc.Spec.HealthCheckNodePort = healthPort
	}
	return svc
}

// on says which node each endpoint is on.
func on(s *discoveryv1.EndpointSlice, nodes ...string) *discoveryv1.EndpointSlice {
	for i, node := range nodes {
		s.Endpoints[i].NodeName = ptr.To(node)
	}
	return s
}

// unanswered says that a connection is neither made nor refused.
func unanswered(to string) bool {
	_, err := net.DialTimeout("tcp", to, 300*time.Millisecond)
	var failed net.Error
	return errors.As(err, &failed) && failed.Timeout()
}

func TestEveryWayIn(t *testing.T) {
	host(t)
	a, b := newPod(t, 41), newPod(t, 42)
	a.serve(t, 8080)
	b.serve(t, 8080)
	customer, stranger := newMachine(t, "198.51.100.9", "fd98::9"), newMachine(t, "203.0.113.9", "fd98::a")
	client := fake.NewClientset(everyWay(corev1.ServiceExternalTrafficPolicyCluster), on(slice(a, b), "here", "there"))
	start(t, client)

	// Whoever comes from elsewhere is seen as the node, and may meet any endpoint.
	reached := map[string]bool{}
	customer.in(t, func() {
		for _, to := range []string{nodePort, external, balanced} {
			for range 30 {
				text, err := call(to)
				if err != nil || text != a.ip+" from "+hostIP && text != b.ip+" from "+hostIP {
					t.Errorf("%s: %q, %v", to, text, err)
				}
				reached[text] = true
			}
		}
	})
	if len(reached) != 2 {
		t.Errorf("reached %v, want both endpoints", reached)
	}
	stranger.in(t, func() {
		if !unanswered(balanced) {
			t.Error("a client outside loadBalancerSourceRanges is served")
		}
		if _, err := call(nodePort); err != nil {
			t.Errorf("source ranges are the balancer's alone: %v", err)
		}
	})
	for _, to := range []string{nodePort, external} { // the node itself
		if _, err := call(to); err != nil {
			t.Errorf("%s from the node: %v", to, err)
		}
	}
	a.in(t, func() {
		for range 10 { // itself among others
			if _, err := call(nodePort); err != nil {
				t.Errorf("node port from an endpoint: %v", err)
			}
		}
		if _, err := call("10.43.0.50:30080"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the node port is served on a service address too: %v", err)
		}
	})

	// Without endpoints all ways are refused.
	check(t, client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), "web-1", metav1.DeleteOptions{}))
	for _, to := range []string{nodePort, external, balanced} {
		customer.in(t, func() {
			eventually(t, to+" is refused", func() bool { _, err := call(to); return errors.Is(err, syscall.ECONNREFUSED) })
		})
	}
}

func TestLocalPolicyKeepsTheClientsAddress(t *testing.T) {
	host(t)
	a, b := newPod(t, 43), newPod(t, 44)
	a.serve(t, 8080)
	b.serve(t, 8080)
	customer := newMachine(t, "198.51.100.9", "fd98::9")
	s := on(slice(a, b), "here", "there")
	client := fake.NewClientset(everyWay(corev1.ServiceExternalTrafficPolicyLocal), s)
	start(t, client)
	healthy := func(want int) bool {
		got, err := http.Get(fmt.Sprintf("http://%s/healthz", net.JoinHostPort(hostIP, fmt.Sprint(healthPort))))
		if err != nil {
			return false
		}
		defer got.Body.Close()
		var body struct {
			Service        struct{ Namespace, Name string }
			LocalEndpoints int
		}
		check(t, json.NewDecoder(got.Body).Decode(&body))
		return body.LocalEndpoints == want && body.Service.Name == "web" && (got.StatusCode == http.StatusOK) == (want > 0) &&
			got.Header.Get("X-Load-Balancing-Endpoint-Weight") == fmt.Sprint(want)
	}
	eventually(t, "the node is healthy", func() bool { return healthy(1) })
	customer.in(t, func() {
		for _, to := range []string{nodePort, external, balanced} {
			for range 20 {
				if text, err := call(to); err != nil || text != a.ip+" from "+customer.ip {
					t.Errorf("%s: %q, %v", to, text, err)
				}
			}
		}
	})
	met := map[string]bool{}
	for range 60 { // the node's own may go anywhere
		text, err := call(external)
		check(t, err)
		met[text] = true
	}
	if len(met) != 2 {
		t.Errorf("the node met %v, want both endpoints", met)
	}
	// With no endpoint here, other nodes have to answer.
	_, err := client.DiscoveryV1().EndpointSlices("default").Update(t.Context(), on(s.DeepCopy(), "there", "there"), metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "the node is no longer healthy", func() bool { return healthy(0) })
	customer.in(t, func() {
		for _, to := range []string{nodePort, external, balanced} {
			eventually(t, to+" is left unanswered", func() bool { return unanswered(to) })
		}
	})
	if _, err := call(nodePort); err != nil {
		t.Errorf("the node itself: %v", err)
	}
}

func TestClientsStick(t *testing.T) {
	host(t)
	a, b, c := newPod(t, 45), newPod(t, 46), newPod(t, 47)
	for _, p := range []pod{a, b, c} {
		p.serve(t, 8080)
	}
	svc := service()
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	svc.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To[int32](600)}}
	client := fake.NewClientset(svc, slice(a, b, c))
	start(t, client)
	at := serviceIP + ":80"
	same := func() string {
		first, err := call(at)
		check(t, err)
		for range 20 {
			if text, err := call(at); err != nil || text != first {
				t.Errorf("%q, %v; was at %q before", text, err, first)
			}
		}
		return first
	}
	first := same()
	var rest []pod
	for _, p := range []pod{a, b, c} {
		if first != p.ip+" from "+hostIP {
			rest = append(rest, p)
		}
	}
	// The endpoint goes: the client finds another and sticks to that.
	_, err := client.DiscoveryV1().EndpointSlices("default").Update(t.Context(), slice(rest...), metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "the client leaves its former endpoint", func() bool { text, err := call(at); return err == nil && text != first })
	same()
}

func TestBothFamilies(t *testing.T) {
	host(t)
	a, b := newPod(t, 48), newPod(t, 49)
	a.serve(t, 8080)
	b.serve(t, 8080)
	svc := service()
	svc.Spec.ClusterIPs = []string{serviceIP, serviceIP6}
	svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	six := slice(a)
	six.Name, six.AddressType, six.Endpoints[0].Addresses = "web-6", discoveryv1.AddressTypeIPv6, []string{a.ip6}
	client := fake.NewClientset(svc, slice(a), six)
	start(t, client)
	at := "[" + serviceIP6 + "]:80"
	for to, want := range map[string]string{
		serviceIP + ":80": a.ip + " from " + hostIP, at: a.ip + " from " + hostIP6, "[" + hostIP6 + "]:30080": a.ip + " from " + hostIP6,
	} {
		if text, err := call(to); err != nil || text != want {
			t.Errorf("%s: %q, %v; want %q", to, text, err, want)
		}
	}
	b.in(t, func() {
		if text, err := call(at); err != nil || text != a.ip+" from "+b.ip6 {
			t.Errorf("from another pod: %q, %v", text, err)
		}
	})
	a.in(t, func() {
		if text, err := call(at); err != nil || text != a.ip+" from fe80::1" && text != a.ip+" from "+hostIP6 {
			t.Errorf("from the endpoint itself: %q, %v", text, err)
		}
	})
	check(t, client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), "web-6", metav1.DeleteOptions{}))
	eventually(t, "refused without endpoints of its family", func() bool { _, err := call(at); return errors.Is(err, syscall.ECONNREFUSED) })
	if _, err := call(serviceIP + ":80"); err != nil {
		t.Errorf("the other family: %v", err)
	}
}

// A client of UDP that goes on sending from one port meets the endpoints of now.
func TestDatagramsFollowTheEndpoints(t *testing.T) {
	host(t)
	a, b := newPod(t, 51), newPod(t, 52)
	for _, p := range []pod{a, b} {
		p.in(t, func() {
			l, err := net.ListenPacket("udp4", p.ip+":8080")
			check(t, err)
			t.Cleanup(func() { l.Close() })
			go func() {
				buf := make([]byte, 100)
				for {
					_, from, err := l.ReadFrom(buf)
					if err != nil {
						return
					}
					_, _ = l.WriteTo([]byte(p.ip), from)
				}
			}()
		})
	}
	svc := service()
	svc.Spec.Ports[0].Protocol = corev1.ProtocolUDP
	at := func(pods ...pod) *discoveryv1.EndpointSlice {
		s := slice(pods...)
		s.Ports[0].Protocol = ptr.To(corev1.ProtocolUDP)
		return s
	}
	client := fake.NewClientset(svc, at(a))
	start(t, client)
	c, err := net.Dial("udp4", serviceIP+":80")
	check(t, err)
	defer c.Close()
	ask := func() string {
		_, _ = c.Write([]byte("?"))
		check(t, c.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		return string(buf[:n])
	}
	eventually(t, "the first endpoint answers", func() bool { return ask() == a.ip })
	_, err = client.DiscoveryV1().EndpointSlices("default").Update(t.Context(), at(b), metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "the second endpoint answers", func() bool { return ask() == b.ip })
	_, err = client.DiscoveryV1().EndpointSlices("default").Update(t.Context(), at(), metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "nobody answers", func() bool { return ask() == "" })
	_, err = client.DiscoveryV1().EndpointSlices("default").Update(t.Context(), at(a), metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "the first endpoint answers again", func() bool { return ask() == a.ip })
}
