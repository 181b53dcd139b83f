package service

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// pools are the ranges of a family that addresses are given out of, the one
// that a flag gives before those that ServiceCIDRs add. It asks anew each time:
// services are made rarely, and a watch would cost more.
func (a *Allocator) pools(family corev1.IPFamily) ([]*addresses, error) {
	ranges, err := a.objects.Ranges()
	if err != nil {
		return nil, err
	}
	var out []*addresses
	first := a.families[family]
	if first != nil {
		if open, named := ranges[first.prefix]; open || !named {
			out = append(out, first)
		}
	}
	for prefix := range a.later {
		if _, named := ranges[prefix]; !named {
			delete(a.later, prefix)
		}
	}
	var prefixes []netip.Prefix
	for prefix, open := range ranges {
		if open && familyOf(prefix.Addr()) == family && (first == nil || prefix != first.prefix) {
			prefixes = append(prefixes, prefix)
		}
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	for _, prefix := range prefixes {
		pool, err := a.pool(prefix)
		if err != nil {
			return nil, err
		}
		out = append(out, pool)
	}
	return out, nil
}

// pool is the range of a ServiceCIDR, with what is in use marked.
func (a *Allocator) pool(prefix netip.Prefix) (*addresses, error) {
	if pool := a.later[prefix]; pool != nil {
		return pool, nil
	}
	pool, err := newAddresses(prefix)
	if err != nil {
		return nil, err
	}
	taken, err := a.objects.Taken(prefix)
	if err != nil {
		return nil, err
	}
	for _, ip := range taken {
		_ = pool.reserve(ip) // what is not to be given out needs no mark
	}
	a.later[prefix] = pool
	return pool, nil
}
