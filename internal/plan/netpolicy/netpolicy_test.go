package netpolicy_test

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/netpolicy"
)

const (
	tcp = 6
	udp = 17
)

var (
	a      = netip.MustParseAddr("10.42.0.1") // prod, app=a, on this node; port "web" is 8080
	b      = netip.MustParseAddr("10.42.0.2") // prod, app=b, on this node; port "web" is 9090
	far    = netip.MustParseAddr("10.42.1.1") // test, app=a, on another
	world  = netip.MustParseAddr("198.51.100.7")
	inside = netip.MustParseAddr("198.51.100.129") // of the excepted half
)

func selector(pairs ...string) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		s.MatchLabels[pairs[i]] = pairs[i+1]
	}
	return s
}

func cluster(policies ...*networkingv1.NetworkPolicy) netpolicy.Cluster {
	web := func(n int32) []corev1.ContainerPort { return []corev1.ContainerPort{{Name: "web", ContainerPort: n}} }
	return netpolicy.Cluster{
		Policies: policies,
		Pods: []netpolicy.Pod{
			{Namespace: "prod", Labels: labels.Set{"app": "a"}, Addresses: []netip.Addr{a}, Ports: web(8080), Local: true},
			{Namespace: "prod", Labels: labels.Set{"app": "b"}, Addresses: []netip.Addr{b}, Ports: web(9090), Local: true},
			{Namespace: "test", Labels: labels.Set{"app": "a"}, Addresses: []netip.Addr{far}, Ports: web(8080)},
		},
		Namespaces: map[string]labels.Set{"prod": {"stage": "prod"}, "test": {"stage": "test"}},
	}
}

func policy(spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "prod"}, Spec: spec}
}

func in(rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return policy(networkingv1.NetworkPolicySpec{PodSelector: *selector("app", "a"), Ingress: rules})
}

func out(rules ...networkingv1.NetworkPolicyEgressRule) *networkingv1.NetworkPolicy {
	return policy(networkingv1.NetworkPolicySpec{
		PodSelector: *selector("app", "a"), Egress: rules, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
	})
}

func from(p networkingv1.NetworkPolicyPeer, ports ...networkingv1.NetworkPolicyPort) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{p}, Ports: ports}
}

func to(p networkingv1.NetworkPolicyPeer, ports ...networkingv1.NetworkPolicyPort) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{p}, Ports: ports}
}

func port(p intstr.IntOrString) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Port: &p}
}

type peer = networkingv1.NetworkPolicyPeer

// Packets are followed under one policy, which is for pod a alone.
func TestAllows(t *testing.T) {
	half := peer{IPBlock: &networkingv1.IPBlock{CIDR: "198.51.100.0/24", Except: []string{"198.51.100.128/25"}}}
	everybody := networkingv1.NetworkPolicyIngressRule{}
	ranged := networkingv1.NetworkPolicyPort{Port: ptr.To(intstr.FromInt32(8000)), EndPort: ptr.To[int32](8100)}
	datagrams := networkingv1.NetworkPolicyPort{Protocol: ptr.To(corev1.ProtocolUDP)}
	type packet struct {
		from, to netip.Addr
		proto    uint8
		port     uint16
		want     bool
	}
	for name, c := range map[string]struct {
		policy  *networkingv1.NetworkPolicy
		packets []packet
	}{
		"none":                    {nil, []packet{{world, a, tcp, 80, true}, {a, world, tcp, 80, true}}},
		"nobody":                  {in(), []packet{{world, a, tcp, 80, false}, {b, a, tcp, 80, false}, {a, a, tcp, 80, true}, {a, b, tcp, 80, true}, {world, b, tcp, 80, true}}},
		"everybody":               {in(everybody), []packet{{world, a, udp, 80, true}, {b, a, 1, 0, true}}},
		"pods of the namespace":   {in(from(peer{PodSelector: selector("app", "b")})), []packet{{b, a, tcp, 80, true}, {far, a, tcp, 80, false}, {world, a, tcp, 80, false}}},
		"app a of the namespace":  {in(from(peer{PodSelector: selector("app", "a")})), []packet{{far, a, tcp, 80, false}, {b, a, tcp, 80, false}}},
		"a namespace":             {in(from(peer{NamespaceSelector: selector("stage", "test")})), []packet{{far, a, tcp, 80, true}, {b, a, tcp, 80, false}}},
		"all namespaces":          {in(from(peer{NamespaceSelector: selector()})), []packet{{far, a, tcp, 80, true}, {b, a, tcp, 80, true}, {world, a, tcp, 80, false}}},
		"both selectors":          {in(from(peer{NamespaceSelector: selector("stage", "test"), PodSelector: selector("app", "b")})), []packet{{far, a, tcp, 80, false}, {b, a, tcp, 80, false}}},
		"a block and its except":  {in(from(half)), []packet{{world, a, tcp, 80, true}, {inside, a, tcp, 80, false}, {b, a, tcp, 80, false}}},
		"a number":                {in(from(peer{PodSelector: selector()}, port(intstr.FromInt32(80)))), []packet{{b, a, tcp, 80, true}, {b, a, tcp, 81, false}, {b, a, udp, 80, false}}},
		"a range":                 {in(from(peer{PodSelector: selector()}, ranged)), []packet{{b, a, tcp, 7999, false}, {b, a, tcp, 8000, true}, {b, a, tcp, 8100, true}, {b, a, tcp, 8101, false}}},
		"a protocol":              {in(from(peer{PodSelector: selector()}, datagrams)), []packet{{b, a, udp, 5353, true}, {b, a, tcp, 5353, false}}},
		"a name is the pod's own": {in(from(peer{PodSelector: selector()}, port(intstr.FromString("web")))), []packet{{b, a, tcp, 8080, true}, {b, a, tcp, 9090, false}}},
		"a name that it lacks":    {in(from(peer{PodSelector: selector()}, port(intstr.FromString("admin")))), []packet{{b, a, tcp, 8080, false}}},
		"out: nowhere":            {out(), []packet{{a, world, tcp, 80, false}, {a, b, tcp, 80, false}, {b, a, tcp, 80, true}, {a, a, tcp, 80, true}}},
		"out: to a block":         {out(to(half)), []packet{{a, world, tcp, 80, true}, {a, inside, tcp, 80, false}}},
		"out: a name is each peer's": {out(to(peer{PodSelector: selector()}, port(intstr.FromString("web")))), []packet{
			{a, b, tcp, 9090, true}, {a, b, tcp, 8080, false}, {a, b, udp, 9090, false}, {a, far, tcp, 8080, false},
		}},
		"out: a name anywhere": {out(networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{port(intstr.FromString("web"))}}), []packet{
			{a, b, tcp, 9090, true}, {a, far, tcp, 8080, true}, {a, world, tcp, 8080, false},
		}},
		"types left out, with egress": {policy(networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{to(peer{PodSelector: selector("app", "b")})}}), []packet{
			{a, b, tcp, 80, false}, {a, world, tcp, 80, false}, {world, a, tcp, 80, false},
		}},
	} {
		var list []*networkingv1.NetworkPolicy
		if c.policy != nil {
			list = append(list, c.policy)
		}
		s := netpolicy.Decide(cluster(list...))
		for _, p := range c.packets {
			if got := s.Allows(p.proto, p.from, netip.AddrPortFrom(p.to, p.port)); got != p.want {
				t.Errorf("%s: %s to %s:%d (protocol %d) is let through: %v", name, p.from, p.to, p.port, p.proto, got)
			}
		}
	}
}

// Policies add up: what one of them lets through is let through.
func TestPoliciesAddUp(t *testing.T) {
	s := netpolicy.Decide(cluster(in(from(peer{PodSelector: selector("app", "b")})), in(from(peer{NamespaceSelector: selector("stage", "test")}))))
	for _, p := range []netip.Addr{b, far} {
		if !s.Allows(tcp, p, netip.AddrPortFrom(a, 80)) {
			t.Errorf("%s is kept out", p)
		}
	}
	if s.Allows(tcp, world, netip.AddrPortFrom(a, 80)) {
		t.Error("a stranger is let in")
	}
}

// A pod that comes or goes is an element of a set: nothing is made or dropped.
func TestAPodIsAnElement(t *testing.T) {
	c := cluster(in(from(peer{NamespaceSelector: selector()})))
	before := netpolicy.Decide(c)
	c.Pods = append(c.Pods, netpolicy.Pod{Namespace: "test", Addresses: []netip.Addr{world}})
	got := before.To(netpolicy.Decide(c))
	if len(got.Add) != 1 || len(got.Del)+len(got.MakeProfiles)+len(got.DropProfiles)+len(got.MakeSets)+len(got.DropSets)+len(got.AddIngress) != 0 {
		t.Errorf("%+v", got)
	}
}

// Applying the changes one by one, as the kernel does (it refuses to add what is
// there, to delete what is not, to drop what is in use and to use what is not
// there), leads to the state of the end.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		selectors := []*metav1.LabelSelector{selector(), selector("app", "a"), selector("app", "b")}
		kernel := netpolicy.NewState()
		last := netpolicy.NewState()
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			var policies []*networkingv1.NetworkPolicy
			for range rapid.IntRange(0, 3).Draw(t, "policies") {
				p := peer{PodSelector: rapid.SampledFrom(selectors).Draw(t, "peer")}
				ports := []networkingv1.NetworkPolicyPort{port(rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(80), intstr.FromString("web")}).Draw(t, "port"))}
				n := in(from(p, ports...))
				if rapid.Bool().Draw(t, "egress") {
					n = out(to(p, ports...))
				}
				n.Spec.PodSelector = *rapid.SampledFrom(selectors).Draw(t, "for")
				policies = append(policies, n)
			}
			c := cluster(policies...)
			c.Pods = c.Pods[:rapid.IntRange(0, 3).Draw(t, "pods")]
			next := netpolicy.Decide(c)
			apply(t, kernel, last.To(next))
			last = next
		}
		if diff := difference(last, kernel); diff != "" {
			t.Fatalf("(-decided +kernel):\n%s", diff)
		}
	})
}

func apply(t *rapid.T, s netpolicy.State, c netpolicy.Change) {
	must := func(ok bool, format string, args ...any) {
		if !ok {
			t.Fatal(fmt.Sprintf(format, args...))
		}
	}
	for name, members := range c.MakeSets {
		_, there := s.Sets[name]
		must(!there, "set %s is made twice", name)
		s.Sets[name] = members
	}
	for name, list := range c.Del {
		for _, m := range list {
			_, there := s.Sets[name][m]
			must(there, "%v is not in %s", m, name)
			delete(s.Sets[name], m)
		}
	}
	for name, list := range c.Add {
		for _, m := range list {
			_, there := s.Sets[name][m]
			must(!there, "%v is in %s", m, name)
			s.Sets[name][m] = struct{}{}
		}
	}
	for name, p := range c.MakeProfiles {
		for _, term := range p.Terms {
			_, there := s.Sets[term.Set]
			must(there || term.Set == "", "no set %s", term.Set)
		}
		s.Profiles[name] = p
	}
	for _, m := range []struct {
		of  map[netip.Addr]string
		del []netip.Addr
		add map[netip.Addr]string
	}{{s.Ingress, c.DelIngress, c.AddIngress}, {s.Egress, c.DelEgress, c.AddEgress}} {
		for _, addr := range m.del {
			must(m.of[addr] != "", "%s has no profile", addr)
			delete(m.of, addr)
		}
		for addr, name := range m.add {
			_, there := s.Profiles[name]
			must(there && m.of[addr] == "", "%s gets %s", addr, name)
			m.of[addr] = name
		}
	}
	for _, name := range c.DropProfiles {
		for _, of := range []map[netip.Addr]string{s.Ingress, s.Egress} {
			for addr, used := range of {
				must(used != name, "%s is dropped, and %s has it", name, addr)
			}
		}
		delete(s.Profiles, name)
	}
	for _, name := range c.DropSets {
		for _, p := range s.Profiles {
			for _, term := range p.Terms {
				must(term.Set != name, "set %s is dropped, and used", name)
			}
		}
		delete(s.Sets, name)
	}
}
