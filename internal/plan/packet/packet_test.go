package packet_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
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
	ip, node                    string
	ready, serving, terminating bool
	forNode, forZone            string
}

var here = packet.Node{Name: "a", Zone: "z1"}

func slice(eps ...ep) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{
		{Name: ptr.To("web"), Port: ptr.To[int32](8080)},
	}}
	for _, e := range eps {
		out := discoveryv1.Endpoint{Addresses: []string{e.ip}, NodeName: &e.node, Conditions: discoveryv1.EndpointConditions{
			Ready: &e.ready, Serving: &e.serving, Terminating: &e.terminating,
		}}
		if e.forNode != "" || e.forZone != "" {
			out.Hints = &discoveryv1.EndpointHints{ForNodes: []discoveryv1.ForNode{{Name: e.forNode}}, ForZones: []discoveryv1.ForZone{{Name: e.forZone}}}
		}
		s.Endpoints = append(s.Endpoints, out)
	}
	return s
}

func back(ip string) packet.Back { return packet.Back{Addr: addr(ip), Port: 8080} }

func backs(ips ...string) []packet.Back {
	var out []packet.Back
	for _, ip := range ips {
		out = append(out, back(ip))
	}
	return out
}

var (
	web = packet.Front{Addr: addr("10.43.0.9"), Protocol: packet.TCP, Port: 80}
	udp = packet.Front{Addr: addr("10.43.0.9"), Protocol: packet.UDP, Port: 53}
)

func ready(ip string) ep { return ep{ip: ip, node: "b", ready: true} }

// Who serves the cluster address.
func TestClusterAddress(t *testing.T) {
	local := func(s *corev1.Service) {
		s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	}
	ours := func(e ep) ep { e.node = "a"; return e }
	for name, c := range map[string]struct {
		with func(*corev1.Service)
		eps  []*discoveryv1.EndpointSlice
		want []packet.Back
		none packet.Verdict
	}{
		"ready endpoints, in order and once":     {nil, []*discoveryv1.EndpointSlice{slice(ready("10.42.0.7")), slice(ready("10.42.0.3"), ready("10.42.0.7"))}, backs("10.42.0.3", "10.42.0.7"), packet.Refuse},
		"unready ones are left out":              {nil, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7"}, ready("10.42.0.8"))}, backs("10.42.0.8"), packet.Refuse},
		"terminating ones serve if none is left": {nil, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", serving: true, terminating: true}, ep{ip: "10.42.0.8", terminating: true})}, backs("10.42.0.7"), packet.Refuse},
		"serving and not terminating is no use":  {nil, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", serving: true})}, nil, packet.Refuse},
		"no endpoints":                           {nil, nil, nil, packet.Refuse},
		"the other family's do not count":        {nil, []*discoveryv1.EndpointSlice{{AddressType: discoveryv1.AddressTypeIPv6, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("web"), Port: ptr.To[int32](1)}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"fd00::1"}}}}}, nil, packet.Refuse},
		"local policy":                           {local, []*discoveryv1.EndpointSlice{slice(ready("10.42.0.7"), ours(ready("10.42.0.8")))}, backs("10.42.0.8"), packet.Drop},
		"local policy, none here":                {local, []*discoveryv1.EndpointSlice{slice(ready("10.42.0.7"))}, nil, packet.Drop},
		"local policy, none anywhere":            {local, nil, nil, packet.Refuse},
		"local policy, one ends here":            {local, []*discoveryv1.EndpointSlice{slice(ready("10.42.0.7"), ep{ip: "10.42.0.8", node: "a", serving: true, terminating: true})}, backs("10.42.0.8"), packet.Drop},
		"hints for our node":                     {nil, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", ready: true, forNode: "b", forZone: "z1"}, ep{ip: "10.42.0.8", ready: true, forNode: "a", forZone: "z1"})}, backs("10.42.0.8"), packet.Refuse},
		"hints for our zone":                     {nil, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", ready: true, forNode: "b", forZone: "z1"}, ep{ip: "10.42.0.8", ready: true, forNode: "c", forZone: "z2"})}, backs("10.42.0.7"), packet.Refuse},
		"hints for others only":                  {nil, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", ready: true, forNode: "b", forZone: "z3"}, ep{ip: "10.42.0.8", ready: true, forNode: "c", forZone: "z2"})}, backs("10.42.0.7", "10.42.0.8"), packet.Refuse},
		"hints on some only":                     {nil, []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", ready: true, forNode: "a", forZone: "z1"}, ready("10.42.0.8"))}, backs("10.42.0.7", "10.42.0.8"), packet.Refuse},
	} {
		svc := service("10.43.0.9")
		if c.with != nil {
			c.with(svc)
		}
		got := packet.Service(here, svc, c.eps)
		if diff := cmp.Diff(c.want, got[web].Near, compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got[web].None != c.none {
			t.Errorf("%s: without endpoints %v, want %v", name, got[web].None, c.none)
		}
		if len(got) != 2 || len(got[udp].Near) > 0 {
			t.Errorf("%s: fronts %v, want one for each port", name, got)
		}
	}
}

func TestServicesWithoutFronts(t *testing.T) {
	foreign := service("10.43.0.9")
	foreign.Labels = map[string]string{packet.ProxyNameLabel: "other"}
	external := service("")
	external.Spec.Type, external.Spec.ClusterIPs = corev1.ServiceTypeExternalName, nil
	for name, svc := range map[string]*corev1.Service{"headless": service("None"), "another proxy's": foreign, "external name": external} {
		if got := packet.Service(here, svc, []*discoveryv1.EndpointSlice{slice(ready("10.42.0.7"))}); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// balanced is a Service with all ways in, and an endpoint on each of two nodes.
func balanced(policy corev1.ServiceExternalTrafficPolicy) *corev1.Service {
	svc := service("10.43.0.9")
	svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, policy
	svc.Spec.Ports[0].NodePort, svc.Spec.ExternalIPs = 30080, []string{"192.0.2.7"}
	svc.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/24", "198.51.100.128/25"}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.8"}, {IP: "192.0.2.9", IPMode: ptr.To(corev1.LoadBalancerIPModeProxy)}}
	return svc
}

// A packet is followed on every way into a Service.
func TestFollow(t *testing.T) {
	const pod, node, client, stranger = "10.42.0.1", "172.31.0.1", "198.51.100.200", "203.0.113.1"
	to := func(origin packet.Origin, from, ip string, port uint16) packet.Packet {
		return packet.Packet{Origin: origin, From: addr(from), To: packet.Front{Addr: addr(ip), Protocol: packet.TCP, Port: port}, ToNode: ip == node}
	}
	ours, theirs := ep{ip: "10.42.0.7", node: "a", ready: true}, ready("10.42.0.8")
	both, one, other, none := []ep{ours, theirs}, []ep{ours}, []ep{theirs}, []ep{}
	const cluster, local = corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal
	for name, c := range map[string]struct {
		policy corev1.ServiceExternalTrafficPolicy
		eps    []ep
		packet packet.Packet
		want   string // one letter for each endpoint it may reach, and what else happens
	}{
		"pod to cluster address":                {cluster, both, to(packet.FromPod, pod, "10.43.0.9", 80), "ab"},
		"endpoint to itself":                    {cluster, one, to(packet.FromPod, "10.42.0.7", "10.43.0.9", 80), "a masqueraded"},
		"pod to no port of it":                  {cluster, both, to(packet.FromPod, pod, "10.43.0.9", 81), ""},
		"udp has no endpoint":                   {cluster, both, packet.Packet{To: udp}, "refused"},
		"outside to node port":                  {cluster, both, to(packet.FromOutside, stranger, node, 30080), "ab masqueraded"},
		"node port is not on a service address": {cluster, both, to(packet.FromPod, pod, "10.43.0.9", 30080), ""},
		"outside to external address":           {cluster, both, to(packet.FromOutside, stranger, "192.0.2.7", 80), "ab masqueraded"},
		"outside to balancer":                   {cluster, both, to(packet.FromOutside, client, "192.0.2.8", 80), "ab masqueraded"},
		"stranger to balancer":                  {cluster, both, to(packet.FromOutside, stranger, "192.0.2.8", 80), "dropped"},
		"balancer that is a proxy":              {cluster, both, to(packet.FromOutside, client, "192.0.2.9", 80), ""},
		"local: outside to node port":           {local, both, to(packet.FromOutside, stranger, node, 30080), "a"},
		"local: outside to balancer":            {local, both, to(packet.FromOutside, client, "192.0.2.8", 80), "a"},
		"local: none on this node":              {local, other, to(packet.FromOutside, stranger, node, 30080), "dropped"},
		"local: none on this node, for a pod":   {local, other, to(packet.FromPod, pod, node, 30080), "b"},
		"local: pod":                            {local, both, to(packet.FromPod, pod, "192.0.2.7", 80), "ab"},
		"local: the node":                       {local, both, to(packet.FromNode, node, "192.0.2.7", 80), "ab masqueraded"},
		"local: none anywhere":                  {local, none, to(packet.FromOutside, stranger, node, 30080), "refused"},
		"none: node port":                       {cluster, none, to(packet.FromOutside, stranger, node, 30080), "refused"},
		"none: cluster address":                 {cluster, none, to(packet.FromPod, pod, "10.43.0.9", 80), "refused"},
	} {
		b := packet.NewBook()
		b.Update(map[types.NamespacedName]packet.Table{{Name: "web"}: packet.Service(here, balanced(c.policy), []*discoveryv1.EndpointSlice{slice(c.eps...)})})
		reached, rest := map[string]bool{}, ""
		for i := range 10 {
			fate := b.Elements.Follow(c.packet, func(n int) int { return i % n }, packet.Back{})
			rest = ""
			switch {
			case fate.Sent && fate.To.Port != 8080:
				t.Errorf("%s: sent to %v", name, fate.To)
			case fate.Sent:
				reached[map[string]string{"10.42.0.7": "a", "10.42.0.8": "b"}[fate.To.Addr.String()]] = true
			case fate.Refused:
				rest = " refused"
			case fate.Dropped:
				rest = " dropped"
			}
			if fate.Masqueraded {
				rest = " masqueraded"
			}
		}
		got := ""
		for _, l := range []string{"a", "b"} {
			if reached[l] {
				got += l
			}
		}
		if got = strings.TrimSpace(got + rest); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A client that sticks to an endpoint keeps it as long as it is one.
func TestFollowSticky(t *testing.T) {
	svc := service("10.43.0.9")
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	b, name := packet.NewBook(), types.NamespacedName{Name: "web"}
	update := func(eps ...ep) {
		b.Update(map[types.NamespacedName]packet.Table{name: packet.Service(here, svc, []*discoveryv1.EndpointSlice{slice(eps...)})})
	}
	at := func() packet.Back {
		return b.Elements.Follow(packet.Packet{From: addr("10.42.0.1"), To: web}, func(int) int { return 0 }, back("10.42.0.8")).To
	}
	update(ready("10.42.0.7"), ready("10.42.0.8"))
	if got := at(); got != back("10.42.0.8") {
		t.Errorf("the client was sent to %v, away from its endpoint", got)
	}
	if d := b.Elements.Fronts[web]; d.Sticky != 10800 {
		t.Errorf("for %d s without a timeout, want 10800", d.Sticky)
	}
	update(ready("10.42.0.7"))
	if got := at(); got != back("10.42.0.7") {
		t.Errorf("the client was sent to %v, which is no endpoint any more", got)
	}
}

// What clients of UDP still use and must not.
func TestStale(t *testing.T) {
	table := func(eps ...ep) packet.Table {
		s := slice(eps...)
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: ptr.To("dns"), Port: ptr.To[int32](5353), Protocol: ptr.To(corev1.ProtocolUDP)})
		return packet.Service(here, service("10.43.0.9"), []*discoveryv1.EndpointSlice{s})
	}
	at := func(ip string) packet.Back { return packet.Back{Addr: addr(ip), Port: 5353} }
	b, name := packet.NewBook(), types.NamespacedName{Name: "dns"}
	for i, c := range []struct {
		table packet.Table
		want  []packet.Flow
	}{
		{table(), nil},
		{table(ready("10.42.0.7"), ready("10.42.0.8")), []packet.Flow{{Front: udp}}},
		{table(ready("10.42.0.8"), ready("10.42.0.9")), []packet.Flow{{Front: udp, Back: at("10.42.0.7")}}},
		{nil, []packet.Flow{{Front: udp, Back: at("10.42.0.8")}, {Front: udp, Back: at("10.42.0.9")}}},
	} {
		var got []packet.Flow
		for _, change := range b.Update(map[types.NamespacedName]packet.Table{name: c.table}) {
			got = append(got, change.Stale...)
		}
		if diff := cmp.Diff(c.want, got, compare); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
	ap := netip.MustParseAddrPort
	for name, c := range map[string]struct {
		flow     packet.Flow
		to, from string
		want     bool
	}{
		"its endpoint":                 {packet.Flow{Front: udp, Back: at("10.42.0.7")}, "10.43.0.9:53", "10.42.0.7:5353", true},
		"another endpoint":             {packet.Flow{Front: udp, Back: at("10.42.0.7")}, "10.43.0.9:53", "10.42.0.8:5353", false},
		"not translated":               {packet.Flow{Front: udp}, "10.43.0.9:53", "10.43.0.9:53", true},
		"translated":                   {packet.Flow{Front: udp}, "10.43.0.9:53", "10.42.0.8:5353", false},
		"node port, any of the node's": {packet.Flow{Front: packet.Front{Addr: netip.IPv4Unspecified(), Protocol: packet.UDP, Port: 30053}, Back: at("10.42.0.7")}, "172.31.0.1:30053", "10.42.0.7:5353", true},
		"the same port somewhere else": {packet.Flow{Front: udp, Back: at("10.42.0.7")}, "10.43.0.8:53", "10.42.0.7:5353", false},
	} {
		if got := c.flow.Matches(packet.UDP, ap(c.to), ap(c.from)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestHealth(t *testing.T) {
	svc := balanced(corev1.ServiceExternalTrafficPolicyLocal)
	svc.Spec.HealthCheckNodePort = 31000
	eps := []*discoveryv1.EndpointSlice{slice(ep{ip: "10.42.0.7", node: "a", ready: true}, ready("10.42.0.8"), ep{ip: "10.42.0.9", node: "a", serving: true, terminating: true})}
	if h, ok := packet.HealthOf(here, svc, eps); !ok || h != (packet.Health{Port: 31000, Local: 1}) {
		t.Errorf("%v, %v", h, ok)
	}
	if _, ok := packet.HealthOf(here, balanced(corev1.ServiceExternalTrafficPolicyCluster), eps); ok {
		t.Error("health is told of a service that any node serves")
	}
}

// Two Services claim one address: the first keeps it until it lets go.
func TestOneFrontTwoServices(t *testing.T) {
	b := packet.NewBook()
	claim := func(name, ip string) {
		var next packet.Table
		if ip != "" {
			next = packet.Table{web: {Near: backs(ip)}}
		}
		b.Update(map[types.NamespacedName]packet.Table{{Name: name}: next})
	}
	at := func() string { return b.Elements.Entries[packet.Entry{Front: web}].Addr.String() }
	for i, step := range []struct{ name, ip, want string }{
		{"b", "10.42.0.2", "10.42.0.2"},
		{"a", "10.42.0.1", "10.42.0.2"},
		{"b", "10.42.0.3", "10.42.0.3"},
		{"b", "", "10.42.0.1"},
		{"a", "", "invalid IP"},
	} {
		if claim(step.name, step.ip); at() != step.want {
			t.Errorf("step %d: %s, want %s", i, at(), step.want)
		}
	}
}

// Applying changes one by one to plain maps, as the kernel does (it refuses to
// add what is there and to delete what is not), gives the same elements as
// building them afresh, whatever Services claim of each other.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.Custom(func(t *rapid.T) []packet.Back {
			var out []packet.Back
			for _, n := range rapid.SliceOfDistinct(rapid.IntRange(1, 5), rapid.ID[int]).Draw(t, "ips") {
				out = append(out, back(fmt.Sprintf("10.42.0.%d", n)))
			}
			return out
		})
		table := rapid.Custom(func(t *rapid.T) packet.Table {
			out := packet.Table{}
			for _, port := range rapid.SliceOfNDistinct(rapid.Uint16Range(1, 4), 0, 3, rapid.ID[uint16]).Draw(t, "ports") {
				target := packet.Target{
					Near: list.Draw(t, "near"), Far: list.Draw(t, "far"), Split: rapid.Bool().Draw(t, "split"),
					Masquerade: rapid.Bool().Draw(t, "masquerade"), Sticky: rapid.Uint32Range(0, 1).Draw(t, "sticky"),
				}
				if rapid.Bool().Draw(t, "guarded") {
					target.Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
				}
				out[packet.Front{Addr: addr("10.43.0.1"), Protocol: packet.TCP, Port: port}] = target
			}
			return out
		})
		book, kernel, last := packet.NewBook(), packet.NewElements(), map[types.NamespacedName]packet.Table{}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			name := types.NamespacedName{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "service")}
			last[name] = table.Draw(t, "table")
			for _, c := range book.Update(map[types.NamespacedName]packet.Table{name: last[name]}) {
				apply(t, kernel, c)
			}
		}
		for _, c := range book.Update(last) {
			t.Fatalf("no change, yet something to do: %+v", c)
		}
		believed := book.Elements.All().Add
		for _, counts := range []map[netip.Addr]int{believed.Hairpin, kernel.Hairpin} {
			for ip := range counts {
				counts[ip] = 1 // the kernel does not count
			}
		}
		if diff := cmp.Diff(believed, kernel, compare); diff != "" {
			t.Fatalf("(-believed +kernel):\n%s", diff)
		}
		for front := range kernel.Fronts {
			if _, both := kernel.Unserved[front]; both && kernel.Unserved[front] == packet.Refuse {
				t.Fatalf("%v is served and refused", front)
			}
		}
		for name := range last {
			last[name] = nil
		}
		for _, c := range book.Update(last) {
			apply(t, kernel, c)
		}
		if diff := cmp.Diff(packet.NewElements(), kernel, compare); diff != "" {
			t.Fatalf("left behind:\n%s", diff)
		}
	})
}

func apply(t *rapid.T, e packet.Elements, c packet.Change) {
	one(t, e.Fronts, c.Del.Fronts, c.Add.Fronts)
	one(t, e.Outside, c.Del.Outside, c.Add.Outside)
	one(t, e.Entries, c.Del.Entries, c.Add.Entries)
	one(t, e.Unserved, c.Del.Unserved, c.Add.Unserved)
	one(t, e.Members, c.Del.Members, c.Add.Members)
	one(t, e.Guarded, c.Del.Guarded, c.Add.Guarded)
	one(t, e.Admitted, c.Del.Admitted, c.Add.Admitted)
	one(t, e.Hairpin, c.Del.Hairpin, c.Add.Hairpin)
}

func one[K comparable, V any](t *rapid.T, kernel, del, add map[K]V) {
	for k := range del {
		if _, there := kernel[k]; !there {
			t.Fatalf("%v is deleted and was not there", k)
		}
		delete(kernel, k)
	}
	for k, v := range add {
		if _, there := kernel[k]; there {
			t.Fatalf("%v is added and was there", k)
		}
		kernel[k] = v
	}
}
