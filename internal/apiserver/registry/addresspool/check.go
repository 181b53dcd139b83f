package addresspool

import (
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

const ownerSubnet = "ipam.spidernet.io/owner-spider-subnet"

var (
	subnetField = field.NewPath("spec", "subnet")
	ipsField    = field.NewPath("spec", "ips")
)

// source is what pools and subnets have alike.
type source struct {
	prefix netip.Prefix
	total  []address.Span // ips without excludeIPs
}

// read is not ok for what validation refuses anyway.
func read(subnet string, ips, excluded []string) (source, bool) {
	pool, err := address.ParsePool("", 0, subnet, ips, excluded, "")
	return source{pool.Subnet, address.Subtract(pool.Spans, pool.Excluded)}, err == nil
}

func readPool(p *spiderpoolv2beta1.SpiderIPPool) (source, bool) {
	return read(p.Spec.Subnet, p.Spec.IPs, p.Spec.ExcludeIPs)
}

func readSubnet(s *spiderpoolv2beta1.SpiderSubnet) (source, bool) {
	return read(s.Spec.Subnet, s.Spec.IPs, s.Spec.ExcludeIPs)
}

const jointly = "total IP addresses of an %s are jointly determined by 'spec.ips' and 'spec.excludeIPs'"

func (g *Guard) newPool(pool *spiderpoolv2beta1.SpiderIPPool) (field.ErrorList, error) {
	is, ok := readPool(pool)
	if !ok {
		return nil, nil
	}
	if problems := g.ofServices(is, "IPPool"); problems != nil {
		return problems, nil
	}
	pools, err := g.objects.Pools()
	if err != nil {
		return nil, fmt.Errorf("failed to list IPPools: %w", err)
	}
	for i := range pools {
		other := &pools[i]
		has, ok := readPool(other)
		if ok && other.Name != pool.Name && has.prefix != is.prefix && has.prefix.Overlaps(is.prefix) {
			return field.ErrorList{field.Invalid(subnetField, pool.Spec.Subnet,
				fmt.Sprintf("overlap with IPPool %s which 'spec.subnet' is %s", other.Name, other.Spec.Subnet))}, nil
		}
	}
	if problems := overlapping(pool.Name, is, pools); problems != nil {
		return problems, nil
	}
	return g.ofSubnet(pool, is, true)
}

// ofServices refuses addresses that are services': pods with these would not be
// reached.
func (g *Guard) ofServices(is source, kind string) field.ErrorList {
	for _, p := range g.services {
		if both := address.Intersect(is.total, []address.Span{address.SpanOf(p)}); len(both) > 0 {
			return field.ErrorList{field.Forbidden(ipsField, fmt.Sprintf("overlap with the range %s of the cluster's services in IP ranges %v, "+jointly, p, both, kind))}
		}
	}
	return nil
}

// overlapping finds a pool of the same subnet that has some of the addresses.
func overlapping(name string, is source, pools []spiderpoolv2beta1.SpiderIPPool) field.ErrorList {
	for i := range pools {
		other := &pools[i]
		has, ok := readPool(other)
		if !ok || other.Name == name || has.prefix != is.prefix {
			continue
		}
		if both := address.Intersect(is.total, has.total); len(both) > 0 {
			return field.ErrorList{field.Forbidden(ipsField,
				fmt.Sprintf("overlap with IPPool %s in IP ranges %v, "+jointly, other.Name, both, "IPPool"))}
		}
	}
	return nil
}

// ofSubnet gives a pool what the subnet of its CIDR says, and refuses addresses
// that the subnet does not have.
func (g *Guard) ofSubnet(pool *spiderpoolv2beta1.SpiderIPPool, is source, isNew bool) (field.ErrorList, error) {
	subnets, err := g.objects.Subnets()
	if err != nil {
		return nil, fmt.Errorf("failed to list Subnets: %w", err)
	}
	for i := range subnets {
		s := &subnets[i]
		has, ok := readSubnet(s)
		if !ok || has.prefix != is.prefix || s.DeletionTimestamp != nil {
			continue
		}
		if outside := address.Subtract(is.total, has.total); len(outside) > 0 {
			return field.ErrorList{field.Forbidden(ipsField,
				fmt.Sprintf("add some IP ranges %v that are not contained in controller Subnet %s, "+jointly, outside, s.Name, "Subnet"))}, nil
		}
		if isNew {
			inherit(pool, s)
		}
	}
	return nil, nil
}

func inherit(pool *spiderpoolv2beta1.SpiderIPPool, s *spiderpoolv2beta1.SpiderSubnet) {
	if pool.Spec.Gateway == nil && s.Spec.Gateway != nil {
		gateway := *s.Spec.Gateway
		pool.Spec.Gateway = &gateway
	}
	if pool.Spec.Routes == nil {
		pool.Spec.Routes = append(pool.Spec.Routes, s.Spec.Routes...)
	}
	metav1.SetMetaDataLabel(&pool.ObjectMeta, ownerSubnet, s.Name)
	if metav1.GetControllerOfNoCopy(pool) == nil {
		pool.OwnerReferences = append(pool.OwnerReferences,
			*metav1.NewControllerRef(s, spiderpoolv2beta1.SchemeGroupVersion.WithKind("SpiderSubnet")))
	}
}

func (g *Guard) changedPool(pool, was *spiderpoolv2beta1.SpiderIPPool) (field.ErrorList, error) {
	is, ok := readPool(pool)
	had, before := readPool(was)
	if !ok || !before || is.prefix != had.prefix {
		return nil, nil // validation says so
	}
	if problems := g.ofServices(source{is.prefix, address.Subtract(is.total, had.total)}, "IPPool"); problems != nil {
		return problems, nil
	}
	pools, err := g.objects.Pools()
	if err != nil {
		return nil, fmt.Errorf("failed to list IPPools: %w", err)
	}
	if problems := overlapping(pool.Name, is, pools); problems != nil {
		return problems, nil
	}
	if len(address.Subtract(is.total, had.total)) > 0 {
		if problems, err := g.ofSubnet(pool, is, false); err != nil || problems != nil {
			return problems, err
		}
	}
	gone := address.Subtract(had.total, is.total)
	if len(gone) == 0 {
		return nil, nil
	}
	return g.inUse(pool.Name, gone)
}

// inUse finds a pod that holds an address of a pool that is about to be taken out.
func (g *Guard) inUse(pool string, gone []address.Span) (field.ErrorList, error) {
	endpoints, err := g.objects.Endpoints()
	if err != nil {
		return nil, fmt.Errorf("failed to list Endpoints: %w", err)
	}
	for i := range endpoints {
		e := &endpoints[i]
		for _, ip := range e.Status.Current.IPs {
			for _, held := range []struct{ cidr, pool string }{{ip.IPv4, ip.IPv4Pool}, {ip.IPv6, ip.IPv6Pool}} {
				prefix, err := netip.ParsePrefix(held.cidr)
				if err != nil || held.pool != pool {
					continue
				}
				one := []address.Span{{First: prefix.Addr(), Last: prefix.Addr()}}
				if len(address.Intersect(one, gone)) > 0 {
					return field.ErrorList{field.Forbidden(ipsField, fmt.Sprintf(
						"remove an IP address %s that is being used by Pod %s/%s, "+jointly, prefix.Addr(), e.Namespace, e.Name, "IPPool"))}, nil
				}
			}
		}
	}
	return nil, nil
}

// subnet checks a new or changed subnet: it shares nothing with another, and
// has all that its pools have.
func (g *Guard) subnet(subnet *spiderpoolv2beta1.SpiderSubnet) (field.ErrorList, error) {
	is, ok := readSubnet(subnet)
	if !ok {
		return nil, nil
	}
	if problems := g.ofServices(is, "Subnet"); problems != nil {
		return problems, nil
	}
	subnets, err := g.objects.Subnets()
	if err != nil {
		return nil, fmt.Errorf("failed to list Subnets: %w", err)
	}
	for i := range subnets {
		other := &subnets[i]
		if has, ok := readSubnet(other); ok && other.Name != subnet.Name && has.prefix.Overlaps(is.prefix) {
			return field.ErrorList{field.Invalid(subnetField, subnet.Spec.Subnet,
				fmt.Sprintf("overlap with Subnet %s which 'spec.subnet' is %s", other.Name, other.Spec.Subnet))}, nil
		}
	}
	pools, err := g.objects.Pools()
	if err != nil {
		return nil, fmt.Errorf("failed to list IPPools: %w", err)
	}
	for i := range pools {
		has, ok := readPool(&pools[i])
		if !ok || has.prefix != is.prefix {
			continue
		}
		if outside := address.Subtract(has.total, is.total); len(outside) > 0 {
			return field.ErrorList{field.Forbidden(ipsField, fmt.Sprintf(
				"remove some IP ranges %v that are being used by IPPool %s, "+jointly, outside, pools[i].Name, "Subnet"))}, nil
		}
	}
	return nil, nil
}
