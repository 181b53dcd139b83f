package service

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"pgregory.net/rapid"
)

func newTestAllocator(t interface{ Fatal(args ...any) }, world *objects, cidrs ...string) *Allocator {
	var prefixes []netip.Prefix
	for _, c := range cidrs {
		prefixes = append(prefixes, netip.MustParsePrefix(c))
	}
	a, err := NewAllocator(prefixes, utilnet.PortRange{Base: 30000, Size: 20}, world)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// objects are what is stored, who holds each address, and what ServiceCIDRs say.
type objects struct {
	stored map[string]*corev1.Service
	of     map[netip.Addr]string
	ranges map[netip.Prefix]bool
}

func (o *objects) Ranges() (map[netip.Prefix]bool, error) { return o.ranges, nil }

func (o *objects) Services() ([]corev1.Service, error) {
	var out []corev1.Service
	for _, svc := range o.stored {
		out = append(out, *svc)
	}
	return out, nil
}

func (o *objects) Taken(within netip.Prefix) ([]netip.Addr, error) {
	var out []netip.Addr
	for ip := range o.of {
		if within.Contains(ip) {
			out = append(out, ip)
		}
	}
	return out, nil
}

func (o *objects) Take(ip netip.Addr, svc *corev1.Service) (mine, made bool, err error) {
	if holder, ok := o.of[ip]; ok {
		return holder == svc.Name, false, nil
	}
	if o.of == nil {
		o.of = map[netip.Addr]string{}
	}
	o.of[ip] = svc.Name
	return true, true, nil
}

func (o *objects) Give(ip netip.Addr, svc *corev1.Service) {
	if o.of[ip] == svc.Name {
		delete(o.of, ip)
	}
}

// TestNothingIsHeldTwice lets services come and go and fail on two servers, and
// compares what is taken with what the stored services hold.
func TestNothingIsHeldTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world := &objects{stored: map[string]*corev1.Service{}}
		servers := []*Allocator{newTestAllocator(t, world, "10.0.0.0/28", "fd00::/124"), newTestAllocator(t, world, "10.0.0.0/28", "fd00::/124")}
		names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				a := rapid.SampledFrom(servers).Draw(t, "server")
				name := names.Draw(t, "name")
				old := world.stored[name]
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
				if ok && !c.dryRun {
					world.stored[name] = svc
				}
				c.finish(ok)
			},
			"create again": func(t *rapid.T) {
				svc := world.stored[names.Draw(t, "name")]
				if svc == nil {
					return
				}
				again := svc.DeepCopy()
				alignAddresses(again, nil)
				if c, err := rapid.SampledFrom(servers).Draw(t, "server").begin(again, nil, false); err == nil {
					c.finish(false) // the store has one of that name
				}
			},
			"delete": func(t *rapid.T) {
				name := names.Draw(t, "name")
				if svc := world.stored[name]; svc != nil {
					delete(world.stored, name)
					rapid.SampledFrom(servers).Draw(t, "server").Release(svc)
				}
			},
			"": func(t *rapid.T) {
				var list corev1.ServiceList
				held := map[netip.Addr]string{}
				for name, svc := range world.stored {
					list.Items = append(list.Items, *svc)
					for _, ip := range heldAddresses(svc) {
						if held[ip] != "" {
							t.Fatalf("%s and %s hold %s", name, held[ip], ip)
						}
						held[ip] = name
					}
				}
				if diff := cmp.Diff(held, world.of, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("addresses held, and their objects: %s", diff)
				}
				if problems := newTestAllocator(t, world, "10.0.0.0/28", "fd00::/124").Repair(&list); len(problems) > 0 {
					t.Fatal(problems)
				}
				for _, a := range servers {
					if len(a.underway) > 0 {
						t.Fatalf("node ports under way: %v", a.underway)
					}
				}
			},
		})
	})
}

// What one server has given back another one can take by name.
func TestAnAddressComesBackElsewhere(t *testing.T) {
	world := &objects{stored: map[string]*corev1.Service{}}
	here, there := newTestAllocator(t, world, "10.0.0.0/28"), newTestAllocator(t, world, "10.0.0.0/28")
	wanted := func(name string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIP: "10.0.0.9", ClusterIPs: []string{"10.0.0.9"},
			Ports: []corev1.ServicePort{{Port: 80, NodePort: 30007}},
		}}
	}
	first := wanted("first")
	c, err := here.begin(first, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	world.stored["first"] = first
	c.finish(true)
	if _, err := there.begin(wanted("second"), nil, false); err == nil {
		t.Fatal("another server's address was given out again")
	}
	delete(world.stored, "first")
	there.Release(first)
	for _, a := range []*Allocator{here, there} {
		if c, err = a.begin(wanted("second"), nil, false); err != nil {
			t.Fatal(err)
		}
		c.finish(false)
	}
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
