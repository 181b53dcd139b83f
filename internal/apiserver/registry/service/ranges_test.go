package service

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

func plain(name, ip string) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}}
	if ip != "" {
		svc.Spec.ClusterIP, svc.Spec.ClusterIPs = ip, []string{ip}
	}
	return svc
}

// TestLaterRanges takes addresses of ranges that ServiceCIDRs add, once the
// first is full, and of none that is closed.
func TestLaterRanges(t *testing.T) {
	first, second := netip.MustParsePrefix("10.0.0.0/29"), netip.MustParsePrefix("10.0.1.0/29")
	world := &objects{of: map[netip.Addr]string{netip.MustParseAddr("10.0.1.1"): "another server's"}}
	a, err := NewAllocator([]netip.Prefix{first}, utilnet.PortRange{Base: 30000, Size: 20}, world)
	if err != nil {
		t.Fatal(err)
	}
	make := func(name, ip string) (*corev1.Service, error) {
		svc := plain(name, ip)
		c, err := a.begin(svc, nil, false)
		if err != nil {
			return nil, err
		}
		c.finish(true)
		return svc, nil
	}
	refused := func(name, ip, want string) {
		t.Helper()
		if _, err := make(name, ip); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("service %s with address %q: %v, want %s", name, ip, err, want)
		}
	}
	taken := func(name, ip string, within netip.Prefix) *corev1.Service {
		t.Helper()
		svc, err := make(name, ip)
		if err != nil {
			t.Fatal(err)
		}
		if got := netip.MustParseAddr(svc.Spec.ClusterIP); !within.Contains(got) {
			t.Fatalf("service %s has %s, want one of %s", name, got, within)
		}
		return svc
	}
	for _, name := range strings.Fields("a b c d e f") {
		taken(name, "", first)
	}
	refused("g", "", "failed to allocate a serviceIP: range is full")
	world.ranges = map[netip.Prefix]bool{first: true, second: false}
	refused("g", "", "range is full")
	refused("g", "10.0.1.2", "the provided network does not match the current range")

	world.ranges[second] = true
	g := taken("g", "", second)
	other := "10.0.1.6"
	if g.Spec.ClusterIP == other { // any of five
		other = "10.0.1.5"
	}
	taken("h", other, second)
	refused("i", other, "provided IP is already allocated")
	refused("i", "10.0.1.1", "provided IP is already allocated")
	for _, name := range strings.Fields("i j k") {
		taken(name, "", second)
	}
	refused("l", "", "range is full")
	a.Release(g)
	if l := taken("l", "", second); l.Spec.ClusterIP != g.Spec.ClusterIP {
		t.Errorf("the address given back was %s, the next is %s", g.Spec.ClusterIP, l.Spec.ClusterIP)
	}

	// A closed range gives out nothing, not even the one of the flags.
	a.Release(plain("a", "10.0.0.1"))
	for ip, name := range world.of {
		if name == "b" {
			a.Release(plain("b", ip.String()))
		}
	}
	world.ranges[first] = false
	refused("m", "", "range is full")
	world.ranges[first] = true
	taken("m", "", first)
}

// TestProblemsOfPorts has Services in the store that no allocator would allow.
func TestProblemsOfPorts(t *testing.T) {
	a, err := NewAllocator([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, utilnet.PortRange{Base: 30000, Size: 20}, &objects{})
	if err != nil {
		t.Fatal(err)
	}
	list := &corev1.ServiceList{}
	for _, port := range []int32{30001, 30001, 80} {
		svc := plain("s", "")
		svc.Spec.Ports = []corev1.ServicePort{{Port: 80, NodePort: port}}
		list.Items = append(list.Items, *svc)
	}
	problems := a.Repair(list)
	want := []string{
		"PortAlreadyAllocated: Port 30001 was assigned to multiple services; please recreate service",
		"PortOutOfRange: Port 80 is not within the port range 30000-30019; please recreate service",
	}
	if len(problems) != len(want) {
		t.Fatalf("got %v", problems)
	}
	for i, p := range problems {
		if got := p.Reason + ": " + p.Message; got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
}
