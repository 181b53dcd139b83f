package service

import (
	"errors"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"pgregory.net/rapid"
)

func newTestAllocator(t *rapid.T, cidrs ...string) *Allocator {
	var prefixes []netip.Prefix
	for _, c := range cidrs {
		prefixes = append(prefixes, netip.MustParsePrefix(c))
	}
	a, err := NewAllocator(prefixes, utilnet.PortRange{Base: 30000, Size: 20}, &objects{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// objects are who holds each address, and what ServiceCIDRs say.
type objects struct {
	of     map[netip.Addr]string
	ranges map[netip.Prefix]bool
}

func (o *objects) Ranges() (map[netip.Prefix]bool, error) { return o.ranges, nil }

func (o *objects) Taken(within netip.Prefix) ([]netip.Addr, error) {
	var out []netip.Addr
	for ip := range o.of {
		if within.Contains(ip) {
			out = append(out, ip)
		}
	}
	return out, nil
}

func (o *objects) Take(ip netip.Addr, svc *corev1.Service) (bool, error) {
	if holder, ok := o.of[ip]; ok && holder != svc.Name {
		return false, nil
	}
	if o.of == nil {
		o.of = map[netip.Addr]string{}
	}
	o.of[ip] = svc.Name
	return true, nil
}

func (o *objects) Give(ip netip.Addr, svc *corev1.Service) {
	if o.of[ip] == svc.Name {
		delete(o.of, ip)
	}
}

// TestNothingIsHeldTwice lets services come and go and fail, and compares what
// is taken with what the stored services hold.
func TestNothingIsHeldTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newTestAllocator(t, "10.0.0.0/28", "fd00::/124")
		stored := map[string]*corev1.Service{}
		names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				name := names.Draw(t, "name")
				old := stored[name]
				svc := drawService(t, name)
				if old != nil {
					keepAllocated(svc, old)
					alignAddresses(svc, old)
					dropForType(svc, old)
				} else {
					alignAddresses(svc, nil)
				}
				c, err := a.begin(svc, old, rapid.Bool().Draw(t, "dry run"))
				if err != nil {
					return
				}
				ok := rapid.Bool().Draw(t, "stored")
				c.finish(ok)
				if ok && !c.dryRun {
					stored[name] = svc
				}
			},
			"delete": func(t *rapid.T) {
				name := names.Draw(t, "name")
				if svc := stored[name]; svc != nil {
					a.Release(svc)
					delete(stored, name)
				}
			},
			"": func(t *rapid.T) {
				fresh := newTestAllocator(t, "10.0.0.0/28", "fd00::/124")
				for name, svc := range stored {
					if errs := fresh.Load(svc); len(errs) > 0 {
						t.Fatalf("%s: %v", name, errs)
					}
				}
				for family, pool := range a.families {
					if len(pool.taken) != len(fresh.families[family].taken) {
						t.Fatalf("%s: %d taken, %d held", family, len(pool.taken), len(fresh.families[family].taken))
					}
				}
				if len(a.ports.taken) != len(fresh.ports.taken) {
					t.Fatalf("ports: %d taken, %d held", len(a.ports.taken), len(fresh.ports.taken))
				}
			},
		})
	})
}

func drawService(t *rapid.T, name string) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}}
	s := &svc.Spec
	s.Selector = map[string]string{"a": "b"}
	s.Type = rapid.SampledFrom([]corev1.ServiceType{"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"}).Draw(t, "type")
	for i := range rapid.IntRange(1, 2).Draw(t, "ports") {
		port := corev1.ServicePort{Port: rapid.Int32Range(80, 81).Draw(t, "port"), Protocol: []corev1.Protocol{"TCP", "UDP"}[i]}
		if usesNodePorts(svc) {
			port.NodePort = rapid.SampledFrom([]int32{0, 0, 30001, 30002, 4}).Draw(t, "node port")
		}
		s.Ports = append(s.Ports, port)
	}
	if s.Type == corev1.ServiceTypeExternalName {
		return svc
	}
	s.ClusterIP = rapid.SampledFrom([]string{"", "", "None", "10.0.0.3", "fd00::5", "192.0.2.1"}).Draw(t, "address")
	if policy := rapid.SampledFrom([]corev1.IPFamilyPolicy{"", "SingleStack", "PreferDualStack", "RequireDualStack"}).Draw(t, "policy"); policy != "" {
		s.IPFamilyPolicy = &policy
	}
	if s.Type == corev1.ServiceTypeLoadBalancer && rapid.Bool().Draw(t, "local") {
		s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	return svc
}

func TestARangeIsFull(t *testing.T) {
	a, err := newAddresses(netip.MustParsePrefix("10.0.0.0/29"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Addr]bool{}
	for {
		ip, err := a.any()
		if errors.Is(err, errFull) {
			break
		}
		if err != nil || seen[ip] {
			t.Fatalf("%s, %v", ip, err)
		}
		seen[ip] = true
	}
	if len(seen) != 6 || seen[netip.MustParseAddr("10.0.0.0")] || seen[netip.MustParseAddr("10.0.0.7")] {
		t.Errorf("gave out %v", seen)
	}
}

func TestTheLowBandIsForThoseWhoChoose(t *testing.T) {
	a, err := newAddresses(netip.MustParsePrefix("10.43.0.0/16"))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if ip, err := a.any(); err != nil || ip.Less(netip.MustParseAddr("10.43.1.1")) {
			t.Fatalf("%s, %v", ip, err)
		}
	}
}
