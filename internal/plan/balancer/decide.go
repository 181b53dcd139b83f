package balancer

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Class is the loadBalancerClass of Services that want an address of the pool
// although they name a class.
const Class = "berth.dev/pool"

// Wants says that a Service is for us to give an address.
func Wants(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.DeletionTimestamp == nil &&
		(svc.Spec.LoadBalancerClass == nil || *svc.Spec.LoadBalancerClass == Class)
}

// Held are the addresses of the pool that a Service has.
func (p Pool) Held(svc *corev1.Service) []netip.Addr {
	var out []netip.Addr
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil && p.Contains(a) {
			out = append(out, a)
		}
	}
	return out
}

// Decide says which addresses a Service should have, one for each of its
// families that the pool has. taken are the addresses of all other Services,
// and whose they are. What it has stays, unless it asks for another.
func Decide(svc *corev1.Service, pool Pool, taken map[netip.Addr]string) ([]corev1.LoadBalancerIngress, error) {
	var out []corev1.LoadBalancerIngress
	asked, err := asked(svc, pool, taken)
	if err != nil {
		return nil, err
	}
	for _, family := range families(svc) {
		v6 := family == corev1.IPv6Protocol
		part := pool.family(v6)
		if len(part) == 0 {
			continue
		}
		a := asked
		if !a.IsValid() || a.Is6() != v6 {
			held := slices.DeleteFunc(part.Held(svc), func(a netip.Addr) bool { _, others := taken[a]; return others })
			if len(held) > 0 {
				a = held[0]
			} else if free, ok := part.free(taken); ok {
				a = free
			} else {
				return nil, fmt.Errorf("no %s address is free in the pool %s: all %d are taken", family, part, part.used(taken))
			}
		}
		out = append(out, corev1.LoadBalancerIngress{IP: a.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the pool %s has no addresses of the service's families %v", pool, families(svc))
	}
	return out, nil
}

// asked is the address that a Service asks for, if it does.
func asked(svc *corev1.Service, pool Pool, taken map[netip.Addr]string) (netip.Addr, error) {
	text := svc.Spec.LoadBalancerIP
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	switch owner, used := taken[a]; {
	case err != nil:
		return a, fmt.Errorf("spec.loadBalancerIP %q is not an IP address", text)
	case !pool.Contains(a):
		return a, fmt.Errorf("spec.loadBalancerIP %s is not in the pool %s", a, pool)
	case used:
		return a, fmt.Errorf("spec.loadBalancerIP %s belongs to service %s", a, owner)
	case !slices.ContainsFunc(families(svc), func(f corev1.IPFamily) bool { return (f == corev1.IPv6Protocol) == a.Is6() }):
		return a, fmt.Errorf("spec.loadBalancerIP %s is of none of the service's families %v", a, families(svc))
	}
	return a, nil
}

func families(svc *corev1.Service) []corev1.IPFamily {
	if len(svc.Spec.IPFamilies) > 0 {
		return svc.Spec.IPFamilies
	}
	return []corev1.IPFamily{corev1.IPv4Protocol}
}
