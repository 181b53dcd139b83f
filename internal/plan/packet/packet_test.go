package packet_test

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/packet"
)

var (
	addr    = netip.MustParseAddr
	compare = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}
)

func service(ip string) *corev1.Service {
	return &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{
		{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP},
	}}}
}

type ep struct {
	ip                          string
	ready, serving, terminating bool
}

func slice(eps ...ep) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{
		{Name: ptr.To("web"), Port: ptr.To[int32](8080)},
	}}
	for _, e := range eps {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{e.ip}, Conditions: discoveryv1.EndpointConditions{
			Ready: &e.ready, Serving: &e.serving, Terminating: &e.terminating,
		}})
	}
	return s
}

func TestService(t *testing.T) {
	web := packet.Front{Addr: addr("10.43.0.9"), Protocol: packet.TCP, Port: 80}
	dns := packet.Front{Addr: addr("10.43.0.9"), Protocol: packet.UDP, Port: 53}
	back := func(ip string) packet.Back { return packet.Back{Addr: addr(ip), Port: 8080} }
	foreign := service("10.43.0.9")
	foreign.Labels = map[string]string{packet.ProxyNameLabel: "other"}
	external := service("")
	external.Spec.Type, external.Spec.ClusterIPs = corev1.ServiceTypeExternalName, nil
	for name, c := range map[string]struct {
		svc  *corev1.Service
		eps  []*discoveryv1.EndpointSlice
		want packet.Table
	}{
		"ready endpoints, in order and once":     {service("10.43.0.9"), []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", ready: true}), slice(ep{ip: "10.42.0.3", ready: true}, ep{ip: "10.42.0.7", ready: true})}, packet.Table{web: {back("10.42.0.3"), back("10.42.0.7")}, dns: nil}},
		"unready ones are left out":              {service("10.43.0.9"), []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7"}, ep{ip: "10.42.0.8", ready: true})}, packet.Table{web: {back("10.42.0.8")}, dns: nil}},
		"terminating ones serve if none is left": {service("10.43.0.9"), []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", serving: true, terminating: true}, ep{ip: "10.42.0.8", terminating: true})}, packet.Table{web: {back("10.42.0.7")}, dns: nil}},
		"no endpoints: refused":                  {service("10.43.0.9"), nil, packet.Table{web: nil, dns: nil}},
		"headless":                               {service("None"), []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", ready: true})}, packet.Table{}},
		"another proxy's":                        {foreign, nil, nil},
		"external name":                          {external, nil, nil},
		"the other family's slices do not count": {service("10.43.0.9"), []*discoveryv1.EndpointSlice{{AddressType: discoveryv1.AddressTypeIPv6, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("web"), Port: ptr.To[int32](1)}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"fd00::1"}}}}}, packet.Table{web: nil, dns: nil}},
	} {
		if diff := cmp.Diff(c.want, packet.Service(c.svc, c.eps), compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A packet reaches every endpoint of its Service and nothing else, and a
// Service without endpoints refuses it.
func TestFollow(t *testing.T) {
	e := packet.NewElements()
	svc := service("10.43.0.9")
	svc.ObjectMeta = metav1.ObjectMeta{Name: "web"}
	e.Replace(nil, packet.Service(svc, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", ready: true}, ep{ip: "10.42.0.8", ready: true})}))
	web := packet.Front{Addr: addr("10.43.0.9"), Protocol: packet.TCP, Port: 80}
	reached := map[netip.Addr]bool{}
	for i := range 2 {
		back, sent, _ := e.Follow(web, func(int) int { return i })
		if !sent || back.Port != 8080 {
			t.Errorf("draw %d: %v, %v", i, back, sent)
		}
		reached[back.Addr] = true
	}
	if len(reached) != 2 {
		t.Errorf("reached %v, want both endpoints", reached)
	}
	if _, sent, refused := e.Follow(packet.Front{Addr: web.Addr, Protocol: packet.UDP, Port: 53}, nil); sent || !refused {
		t.Error("a port without endpoints is not refused")
	}
	if _, sent, refused := e.Follow(packet.Front{Addr: addr("10.43.0.10"), Protocol: packet.TCP, Port: 80}, nil); sent || refused {
		t.Error("a packet to no Service was touched")
	}
}

// Applying changes one by one to plain maps, as the kernel does (it refuses to
// add what is there and to delete what is not), gives the same elements as
// building them afresh.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.Custom(func(t *rapid.T) packet.Table {
			out := packet.Table{}
			for _, port := range rapid.SliceOfNDistinct(rapid.Uint16Range(1, 4), 0, 3, rapid.ID[uint16]).Draw(t, "ports") {
				n := rapid.IntRange(0, 4).Draw(t, "backs")
				backs := []packet.Back{}
				for range n {
					backs = append(backs, packet.Back{Addr: addr(fmt.Sprintf("10.42.0.%d", rapid.IntRange(1, 5).Draw(t, "ip"))), Port: 1})
				}
				out[packet.Front{Addr: addr("10.43.0.1"), Protocol: packet.TCP, Port: port}] = backs
			}
			return out
		})
		live, kernel := packet.NewElements(), packet.NewElements()
		var last packet.Table
		for _, next := range rapid.SliceOfN(table, 1, 6).Draw(t, "history") {
			apply(t, kernel, live.Replace(last, next))
			last = next
		}
		fresh := packet.NewElements()
		fresh.Replace(nil, last)
		for name, pair := range map[string][2]any{
			"counts": {fresh.Counts, kernel.Counts}, "entries": {fresh.Entries, kernel.Entries}, "refused": {fresh.Refused, kernel.Refused},
			"live": {fresh, live},
		} {
			if diff := cmp.Diff(pair[0], pair[1], compare); diff != "" {
				t.Fatalf("%s (-fresh +after changes):\n%s", name, diff)
			}
		}
		if diff := cmp.Diff(keys(fresh.Hairpin), keys(kernel.Hairpin), compare); diff != "" {
			t.Fatalf("hairpin:\n%s", diff)
		}
		if !live.Replace(last, last).Empty() {
			t.Fatal("no change, yet something to do")
		}
	})
}

func keys(m map[netip.Addr]int) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for k := range maps.Keys(m) {
		out[k] = true
	}
	return out
}

func apply(t *rapid.T, e packet.Elements, c packet.Change) {
	for _, f := range c.DelCounts {
		must(t, e.Counts, f, true)
		delete(e.Counts, f)
	}
	for _, f := range c.DelEntries {
		must(t, e.Entries, f, true)
		delete(e.Entries, f)
	}
	for _, f := range c.DelRefused {
		must(t, e.Refused, f, true)
		delete(e.Refused, f)
	}
	for _, a := range c.DelHairpin {
		must(t, e.Hairpin, a, true)
		delete(e.Hairpin, a)
	}
	for f, b := range c.AddEntries {
		must(t, e.Entries, f, false)
		e.Entries[f] = b
	}
	for f, n := range c.AddCounts {
		must(t, e.Counts, f, false)
		e.Counts[f] = n
	}
	for _, f := range c.AddRefused {
		must(t, e.Refused, f, false)
		e.Refused[f] = struct{}{}
	}
	for _, a := range c.AddHairpin {
		must(t, e.Hairpin, a, false)
		e.Hairpin[a] = 1
	}
}

func must[K comparable, V any](t *rapid.T, m map[K]V, k K, there bool) {
	if _, ok := m[k]; ok != there {
		t.Fatalf("%v: in the map %v, want %v", k, ok, there)
	}
}
