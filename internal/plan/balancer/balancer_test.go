package balancer

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func pool(t interface{ Fatal(...any) }, texts ...string) Pool {
	p, err := ParsePool(texts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParsePool(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.0/30":                  "192.0.2.1-192.0.2.2",
		"192.0.2.8/31":                  "192.0.2.8-192.0.2.9",
		"192.0.2.8":                     "192.0.2.8",
		"192.0.2.8-192.0.2.10":          "192.0.2.8-192.0.2.10",
		"fd00::/126":                    "fd00::-fd00::3",
		"192.0.2.1,192.0.2.2":           "192.0.2.1,192.0.2.2",
		"192.0.2.1-192.0.2.9,192.0.2.5": "overlaps",
		"192.0.2.9-192.0.2.8":           "no range",
		"192.0.2.9-fd00::1":             "no range",
		"192.0.2.9/24":                  "first address is 192.0.2.0",
		"here":                          "no range",
	} {
		p, err := ParsePool(strings.Split(text, ","))
		if got := p.String(); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestDecide(t *testing.T) {
	type svc = corev1.Service
	has := func(ips ...string) func(*svc) {
		return func(s *svc) {
			for _, ip := range ips {
				s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
			}
		}
	}
	asks := func(ip string) func(*svc) { return func(s *svc) { s.Spec.LoadBalancerIP = ip } }
	dual := func(s *svc) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} }
	six := func(s *svc) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }
	p4, both := []string{"192.0.2.1-192.0.2.3"}, []string{"192.0.2.1-192.0.2.3", "fd00::1-fd00::2"}
	for name, c := range map[string]struct {
		pool  []string
		with  []func(*svc)
		taken string
		want  string
	}{
		"the first free":             {p4, nil, "192.0.2.1", "192.0.2.2"},
		"what it has stays":          {p4, []func(*svc){has("192.0.2.3")}, "", "192.0.2.3"},
		"another has it, too":        {p4, []func(*svc){has("192.0.2.3")}, "192.0.2.3", "192.0.2.1"},
		"of a former pool":           {p4, []func(*svc){has("198.51.100.1")}, "", "192.0.2.1"},
		"asked for":                  {p4, []func(*svc){asks("192.0.2.2"), has("192.0.2.3")}, "", "192.0.2.2"},
		"asked for, taken":           {p4, []func(*svc){asks("192.0.2.2")}, "192.0.2.2", "spec.loadBalancerIP 192.0.2.2 belongs to service default/other"},
		"asked for, elsewhere":       {p4, []func(*svc){asks("10.0.0.1")}, "", "spec.loadBalancerIP 10.0.0.1 is not in the pool 192.0.2.1-192.0.2.3"},
		"asked for, of other family": {both, []func(*svc){asks("fd00::1")}, "", "spec.loadBalancerIP fd00::1 is of none of the service's families [IPv4]"},
		"exhausted":                  {p4, nil, "192.0.2.1 192.0.2.2 192.0.2.3", "no IPv4 address is free in the pool 192.0.2.1-192.0.2.3: all 3 are taken"},
		"both families":              {both, []func(*svc){dual}, "", "192.0.2.1 fd00::1"},
		"both, pool has one":         {p4, []func(*svc){dual}, "", "192.0.2.1"},
		"the pool has none of it":    {p4, []func(*svc){six}, "", "the pool 192.0.2.1-192.0.2.3 has no addresses of the service's families [IPv6]"},
	} {
		s, taken := &svc{}, map[netip.Addr]string{}
		for _, f := range c.with {
			f(s)
		}
		for _, ip := range strings.Fields(c.taken) {
			taken[netip.MustParseAddr(ip)] = "default/other"
		}
		ingress, err := Decide(s, pool(t, c.pool...), taken)
		var ips []string
		for _, in := range ingress {
			ips = append(ips, in.IP)
		}
		got := strings.Join(ips, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWants(t *testing.T) {
	for name, c := range map[string]struct {
		spec corev1.ServiceSpec
		want bool
	}{
		"no balancer":      {corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort}, false},
		"without a class":  {corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}, true},
		"of our class":     {corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To(Class)}, true},
		"of another class": {corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To("example.org/l2")}, false},
	} {
		if got := Wants(&corev1.Service{Spec: c.spec}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Whoever comes and goes, no two have one address, and who has one keeps it.
func TestNoAddressTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pool(t, "192.0.2.1-192.0.2.4")
		have := map[string]*corev1.Service{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			name := rapid.StringMatching("[a-f]").Draw(t, "name")
			if have[name] != nil && rapid.Bool().Draw(t, "goes") {
				delete(have, name)
				continue
			}
			taken, svc := map[netip.Addr]string{}, &corev1.Service{}
			for other, s := range have {
				if other == name {
					svc = s
					continue
				}
				for _, a := range p.Held(s) {
					if taken[a] != "" {
						t.Fatalf("%s and %s have %s", taken[a], other, a)
					}
					taken[a] = other
				}
			}
			before := p.Held(svc)
			ingress, err := Decide(svc, p, taken)
			if err != nil {
				if len(taken) < 4 {
					t.Fatal(err)
				}
				continue
			}
			if len(before) > 0 && ingress[0].IP != before[0].String() {
				t.Fatalf("%s had %s and has %s", name, before[0], ingress[0].IP)
			}
			svc.Status.LoadBalancer.Ingress, have[name] = ingress, svc
		}
	})
}
