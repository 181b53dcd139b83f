package validation

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// SpiderIPPool checks a new pool by itself; whether it overlaps another is for
// the one who sees all pools.
func SpiderIPPool(pool *spiderpoolv2beta1.SpiderIPPool) field.ErrorList {
	var f findings
	f.ipPool(pool)
	return f.list
}

func (f *findings) ipPool(pool *spiderpoolv2beta1.SpiderIPPool) {
	f.customMeta(&pool.ObjectMeta, false)
	s := &pool.Spec
	f.addresses(addressSource{s.IPVersion, s.Subnet, s.IPs, s.ExcludeIPs, s.Gateway, s.Routes, "IPPool"})
	if a := s.PodAffinity; a != nil {
		f.selector(a, specPath.Child("podAffinity"))
		if len(a.MatchLabels)+len(a.MatchExpressions) == 0 {
			f.invalid(specPath.Child("podAffinity"), a, "empty podAffinity is invalid for SpiderIPPool")
		}
	}
	f.selector(s.NamespaceAffinity, specPath.Child("namespaceAffinity"))
	f.selector(s.NodeAffinity, specPath.Child("nodeAffinity"))
}

// addressSource is what pools and subnets say alike.
type addressSource struct {
	version       *int64
	subnet        string
	ips, excluded []string
	gateway       *string
	routes        []spiderpoolv2beta1.Route
	kind          string
}

func (f *findings) addresses(s addressSource) {
	path := specPath.Child("ipVersion")
	switch v := s.version; {
	case v == nil:
		f.invalid(path, v, "is not generated correctly, 'spec.subnet' may be invalid")
		return
	case *v != 4 && *v != 6:
		f.add(field.NotSupported(path, *v, []string{"4", "6"}))
		return
	}
	subnet, err := netip.ParsePrefix(s.subnet)
	switch path := specPath.Child("subnet"); {
	case err != nil || familyOf(subnet.Addr()) != *s.version:
		f.invalid(path, s.subnet, fmt.Sprintf("invalid CIDR format in IPv%d '%s'", *s.version, s.subnet))
		return
	case subnet.Masked().String() != s.subnet:
		f.invalid(path, s.subnet, fmt.Sprintf("unformatted subnet %s, please change it to %s", s.subnet, subnet.Masked()))
		return
	}
	held := f.ranges(specPath.Child("ips"), s.ips, subnet, s.kind)
	excluded := f.ranges(specPath.Child("excludeIPs"), s.excluded, subnet, s.kind)
	if g := s.gateway; g != nil {
		f.gateway(*g, subnet, held, excluded, s)
	}
	f.poolRoutes(specPath.Child("routes"), s.routes, subnet, s.kind)
}

func familyOf(a netip.Addr) int64 {
	if a.Is4() {
		return 4
	}
	return 6
}

// ranges reads texts; what cannot be read is the zero Span, so that places stay.
func (f *findings) ranges(p *field.Path, texts []string, subnet netip.Prefix, kind string) []address.Span {
	out := make([]address.Span, len(texts))
	for i, text := range texts {
		span, err := address.ParseSpan(text)
		switch {
		case err != nil || familyOf(span.First) != familyOf(subnet.Addr()):
			f.invalid(p.Index(i), text, fmt.Sprintf("invalid IP range format in IPv%d '%s'", familyOf(subnet.Addr()), text))
		case !subnet.Contains(span.First) || !subnet.Contains(span.Last):
			f.invalid(p.Index(i), text, notPertains(subnet, kind))
		default:
			out[i] = span
		}
	}
	return out
}

func notPertains(subnet netip.Prefix, kind string) string {
	return fmt.Sprintf("not pertains to the 'spec.subnet' %s of %s", subnet, kind)
}

// within reads one address of the subnet.
func (f *findings) within(p *field.Path, text string, subnet netip.Prefix, kind string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil || familyOf(a) != familyOf(subnet.Addr()):
		f.invalid(p, text, fmt.Sprintf("invalid IP format in IPv%d '%s'", familyOf(subnet.Addr()), text))
	case !subnet.Contains(a):
		f.invalid(p, text, notPertains(subnet, kind))
	default:
		return a, true
	}
	return a, false
}

func (f *findings) gateway(text string, subnet netip.Prefix, held, excluded []address.Span, s addressSource) {
	a, ok := f.within(specPath.Child("gateway"), text, subnet, s.kind)
	has := func(span address.Span) bool { return span.Contains(a) }
	if !ok || slices.ContainsFunc(excluded, has) {
		return
	}
	if i := slices.IndexFunc(held, has); i >= 0 {
		f.invalid(specPath.Child("ips").Index(i), s.ips[i],
			fmt.Sprintf("conflicts with 'spec.gateway' %s, add the gateway IP address to 'spec.excludeIPs' or remove it from 'spec.ips'", text))
	}
}

func (f *findings) poolRoutes(p *field.Path, routes []spiderpoolv2beta1.Route, subnet netip.Prefix, kind string) {
	used := names{}
	for i, r := range routes {
		p := p.Index(i)
		dst, err := netip.ParsePrefix(r.Dst)
		switch {
		case err != nil || familyOf(dst.Addr()) != familyOf(subnet.Addr()):
			f.invalid(p.Child("dst"), r.Dst, fmt.Sprintf("invalid CIDR format in IPv%d '%s'", familyOf(subnet.Addr()), r.Dst))
		case dst.Bits() == 0:
			f.invalid(p.Child("dst"), r.Dst, "please specify 'spec.gateway' to configure the default route")
		case !used.use(dst.Masked().String()):
			f.invalid(p.Child("dst"), r.Dst, "duplicate route with the same dst")
		}
		f.within(p.Child("gw"), r.Gw, subnet, kind)
	}
}

// SpiderIPPoolUpdate checks a change of a pool.
func SpiderIPPoolUpdate(pool, old *spiderpoolv2beta1.SpiderIPPool) field.ErrorList {
	var f findings
	f.customMetaUpdate(&pool.ObjectMeta, &old.ObjectMeta)
	if f.unchangeable(pool.Spec.IPVersion, old.Spec.IPVersion, pool.Spec.Subnet, old.Spec.Subnet) {
		f.ipPool(pool)
	}
	return f.list
}

// unchangeable holds the fields that a pool or subnet is known by; only then
// the rest is looked at.
func (f *findings) unchangeable(version, was *int64, subnet, wasSubnet string) bool {
	if version != nil && was != nil && *version != *was {
		f.forbidden(specPath.Child("ipVersion"), "is not changeable")
		return false
	}
	if subnet != wasSubnet {
		f.forbidden(specPath.Child("subnet"), "is not changeable")
		return false
	}
	return true
}

// SpiderEndpoint checks a new grant.
func SpiderEndpoint(e *spiderpoolv2beta1.SpiderEndpoint) field.ErrorList {
	var f findings
	f.spiderEndpoint(e)
	return f.list
}

func (f *findings) spiderEndpoint(e *spiderpoolv2beta1.SpiderEndpoint) {
	f.customMeta(&e.ObjectMeta, true)
	p := statusPath.Child("current", "ips")
	for i := range e.Status.Current.IPs {
		ip, p := &e.Status.Current.IPs[i], p.Index(i)
		f.notEmpty(p.Child("interface"), ip.NIC)
		f.prefix(p.Child("ipv4"), ip.IPv4, true)
		f.prefix(p.Child("ipv6"), ip.IPv6, false)
		if v := ip.Vlan; v != nil && (*v < 0 || *v > 4094) {
			f.invalid(p.Child("vlan"), *v, "must be between 0 and 4094")
		}
	}
}

func (f *findings) prefix(p *field.Path, text string, v4 bool) {
	if text == "" {
		return
	}
	if a, err := netip.ParsePrefix(text); err != nil || a.Addr().Is4() != v4 {
		f.invalid(p, text, "must be an address with its prefix length")
	}
}

// SpiderEndpointUpdate checks a change of a grant.
func SpiderEndpointUpdate(e, old *spiderpoolv2beta1.SpiderEndpoint) field.ErrorList {
	var f findings
	f.customMetaUpdate(&e.ObjectMeta, &old.ObjectMeta)
	f.spiderEndpoint(e)
	return f.list
}
