package addresspool

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

type stored struct {
	pools     []spiderpoolv2beta1.SpiderIPPool
	subnets   []spiderpoolv2beta1.SpiderSubnet
	endpoints []spiderpoolv2beta1.SpiderEndpoint
}

func (s *stored) Pools() ([]spiderpoolv2beta1.SpiderIPPool, error)       { return s.pools, nil }
func (s *stored) Subnets() ([]spiderpoolv2beta1.SpiderSubnet, error)     { return s.subnets, nil }
func (s *stored) Endpoints() ([]spiderpoolv2beta1.SpiderEndpoint, error) { return s.endpoints, nil }

// noTurns: there is one server.
type noTurns struct{}

func (noTurns) Take(context.Context) error { return nil }

func pool(name, subnet string, ips ...string) spiderpoolv2beta1.SpiderIPPool {
	return spiderpoolv2beta1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spiderpoolv2beta1.IPPoolSpec{Subnet: subnet, IPs: ips},
	}
}

func subnet(name, cidr string, ips ...string) spiderpoolv2beta1.SpiderSubnet {
	return spiderpoolv2beta1.SpiderSubnet{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spiderpoolv2beta1.SubnetSpec{Subnet: cidr, IPs: ips, Gateway: ptr.To("10.9.0.254")},
	}
}

func held(name, cidr, pool string) spiderpoolv2beta1.SpiderEndpoint {
	e := spiderpoolv2beta1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	e.Status.Current.IPs = []spiderpoolv2beta1.IPAllocationDetail{{NIC: "eth0", IPv4: cidr, IPv4Pool: pool}}
	return e
}

// begin asks the guard as the store does, and ends the change at once.
func begin(t *testing.T, s *stored, is, was *spiderpoolv2beta1.SpiderIPPool) string {
	t.Helper()
	store := &genericregistry.Store{}
	New(s, noTurns{}, []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}).TunePools(store, nil)
	var (
		finish genericregistry.FinishFunc
		err    error
	)
	for range 2 { // a change that is refused lets the next one in
		if was == nil {
			finish, err = store.BeginCreate(t.Context(), is, nil)
		} else {
			finish, err = store.BeginUpdate(t.Context(), is, was, nil)
		}
		if err == nil {
			finish(t.Context(), true)
		}
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPools(t *testing.T) {
	s := &stored{
		pools:     []spiderpoolv2beta1.SpiderIPPool{pool("a", "10.6.0.0/16", "10.6.0.1-10.6.0.9"), pool("six", "fd00::/64", "fd00::1")},
		subnets:   []spiderpoolv2beta1.SpiderSubnet{subnet("s", "10.9.0.0/16", "10.9.0.1-10.9.0.9")},
		endpoints: []spiderpoolv2beta1.SpiderEndpoint{held("web-0", "10.6.0.3/16", "a"), held("web-1", "10.6.0.4/16", "other")},
	}
	excluded := pool("a", "10.6.0.0/16", "10.6.0.1-10.6.0.9")
	excluded.Spec.ExcludeIPs = []string{"10.6.0.3"}
	tests := []struct {
		name string
		is   spiderpoolv2beta1.SpiderIPPool
		was  *spiderpoolv2beta1.SpiderIPPool
		want string
	}{
		{"apart", pool("b", "10.6.0.0/16", "10.6.0.10-10.6.0.19"), nil, ""},
		{"elsewhere", pool("b", "10.7.0.0/16", "10.7.0.1"), nil, ""},
		{
			"the same addresses", pool("b", "10.6.0.0/16", "10.6.0.5", "10.6.0.9-10.6.0.12"), nil,
			`overlap with IPPool a in IP ranges [10.6.0.5 10.6.0.9], total IP addresses of an IPPool are jointly determined by 'spec.ips' and 'spec.excludeIPs'`,
		},
		{"a part of the subnet", pool("b", "10.6.1.0/24"), nil, `spec.subnet: Invalid value: "10.6.1.0/24": overlap with IPPool a which 'spec.subnet' is 10.6.0.0/16`},
		{"more than the subnet has", pool("b", "10.9.0.0/16", "10.9.0.9-10.9.0.10"), nil, `add some IP ranges [10.9.0.10] that are not contained in controller Subnet s`},
		{"unreadable", pool("b", "x", "y"), nil, ""},
		{"around the services", pool("b", "10.40.0.0/13", "10.42.0.1-10.42.255.255", "10.44.0.0"), nil, ""},
		{
			"of the services", pool("b", "10.40.0.0/13", "10.42.255.255-10.43.0.7"), nil,
			`spec.ips: Forbidden: overlap with the range 10.43.0.0/16 of the cluster's services in IP ranges [10.43.0.0-10.43.0.7], total IP`,
		},
		{"grows among the services", pool("b", "10.40.0.0/13", "10.42.0.1", "10.43.255.255"), ptr.To(pool("b", "10.40.0.0/13", "10.42.0.1")), "overlap with the range 10.43.0.0/16 of the cluster's services in IP ranges [10.43.255.255]"},
		{"grows into another", pool("b", "10.6.0.0/16", "10.6.0.9"), ptr.To(pool("b", "10.6.0.0/16", "10.6.0.10")), "overlap with IPPool a"},
		{"less, of what is free", pool("a", "10.6.0.0/16", "10.6.0.1-10.6.0.4"), &s.pools[0], ""},
		{"less, of what is held", pool("a", "10.6.0.0/16", "10.6.0.4-10.6.0.9"), &s.pools[0], "remove an IP address 10.6.0.3 that is being used by Pod default/web-0"},
		{"excluded while held", excluded, &s.pools[0], "remove an IP address 10.6.0.3 that is being used by Pod default/web-0"},
	}
	for _, tt := range tests {
		got := begin(t, s, &tt.is, tt.was)
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	inherits := pool("b", "10.9.0.0/16", "10.9.0.1")
	if got := begin(t, s, &inherits, nil); got != "" || *inherits.Spec.Gateway != "10.9.0.254" || inherits.Labels[ownerSubnet] != "s" || len(inherits.OwnerReferences) != 1 {
		t.Errorf("%q, %+v", got, inherits)
	}
}

func TestSubnets(t *testing.T) {
	s := &stored{
		pools:   []spiderpoolv2beta1.SpiderIPPool{pool("a", "10.6.0.0/16", "10.6.0.1-10.6.0.9")},
		subnets: []spiderpoolv2beta1.SpiderSubnet{subnet("s", "10.9.0.0/16", "10.9.0.1")},
	}
	store := &genericregistry.Store{}
	New(s, noTurns{}, []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}).TuneSubnets(store, nil)
	for _, tt := range []struct {
		is   spiderpoolv2beta1.SpiderSubnet
		want string
	}{
		{subnet("t", "10.6.0.0/16", "10.6.0.1-10.6.0.20"), ""},
		{subnet("t", "10.6.0.0/16", "10.6.0.1"), "remove some IP ranges [10.6.0.2-10.6.0.9] that are being used by IPPool a"},
		{subnet("t", "10.9.0.0/16"), "overlap with Subnet s which 'spec.subnet' is 10.9.0.0/16"},
		{subnet("s", "10.9.0.0/16"), ""},
		{subnet("t", "10.43.0.0/16", "10.43.0.1"), "overlap with the range 10.43.0.0/16 of the cluster's services in IP ranges [10.43.0.1]"},
	} {
		finish, err := store.BeginCreate(context.Background(), &tt.is, nil)
		switch {
		case err == nil && tt.want != "", err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s %s: %v", tt.is.Name, tt.is.Spec.Subnet, err)
		case err == nil:
			finish(t.Context(), true)
		}
	}
}
