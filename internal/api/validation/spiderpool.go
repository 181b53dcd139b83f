package validation

import (
	"net/netip"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

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
	f.meta(&pool.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	s := &pool.Spec
	subnet, err := netip.ParsePrefix(s.Subnet)
	if err != nil {
		f.invalid(specPath.Child("subnet"), s.Subnet, "must be a valid CIDR")
		return
	}
	family := int64(6)
	if subnet.Addr().Is4() {
		family = 4
	}
	if v := s.IPVersion; v == nil {
		f.required(specPath.Child("ipVersion"), "")
	} else if *v != family {
		f.invalid(specPath.Child("ipVersion"), *v, "must be the IP version of the subnet")
	}
	excluded := f.ranges(specPath.Child("excludeIPs"), s.ExcludeIPs, subnet)
	held := f.ranges(specPath.Child("ips"), s.IPs, subnet)
	if g := s.Gateway; g != nil {
		f.gateway(*g, subnet, held, excluded)
	}
	f.poolRoutes(specPath.Child("routes"), s.Routes, subnet)
	if a := s.PodAffinity; a != nil {
		f.selector(a, specPath.Child("podAffinity"))
		if len(a.MatchLabels)+len(a.MatchExpressions) == 0 {
			f.invalid(specPath.Child("podAffinity"), a, "must not be empty")
		}
	}
	f.selector(s.NamespaceAffinity, specPath.Child("namespaceAffinity"))
	f.selector(s.NodeAffinity, specPath.Child("nodeAffinity"))
}

// addressRange is what "a" or "a-b" stands for, both ends included.
type addressRange struct{ first, last netip.Addr }

func (r addressRange) has(a netip.Addr) bool { return !a.Less(r.first) && !r.last.Less(a) }

func (f *findings) ranges(p *field.Path, texts []string, subnet netip.Prefix) []addressRange {
	out := make([]addressRange, 0, len(texts))
	for i, text := range texts {
		from, to, isRange := strings.Cut(text, "-")
		if !isRange {
			to = from
		}
		first, err := netip.ParseAddr(from)
		last, err2 := netip.ParseAddr(to)
		switch {
		case err != nil || err2 != nil || last.Less(first):
			f.invalid(p.Index(i), text, "must be an address or a range 'first-last'")
		case !subnet.Contains(first) || !subnet.Contains(last):
			f.invalid(p.Index(i), text, "must lie in subnet "+subnet.String())
		default:
			out = append(out, addressRange{first, last})
		}
	}
	return out
}

func (f *findings) gateway(text string, subnet netip.Prefix, held, excluded []addressRange) {
	p := specPath.Child("gateway")
	a, err := netip.ParseAddr(text)
	if err != nil || !subnet.Contains(a) {
		f.invalid(p, text, "must be an address of subnet "+subnet.String())
		return
	}
	for _, r := range excluded {
		if r.has(a) {
			return
		}
	}
	for _, r := range held {
		if r.has(a) {
			f.invalid(p, text, "must not be one of ips unless excludeIPs has it")
			return
		}
	}
}

func (f *findings) poolRoutes(p *field.Path, routes []spiderpoolv2beta1.Route, subnet netip.Prefix) {
	used := names{}
	for i, r := range routes {
		p := p.Index(i)
		dst, err := netip.ParsePrefix(r.Dst)
		switch {
		case err != nil || dst.Addr().Is4() != subnet.Addr().Is4():
			f.invalid(p.Child("dst"), r.Dst, "must be a CIDR of the subnet's IP version")
		case dst.Bits() == 0:
			f.invalid(p.Child("dst"), r.Dst, "must not be the default route: use gateway")
		case !used.use(dst.Masked().String()):
			f.add(field.Duplicate(p.Child("dst"), r.Dst))
		}
		if gw, err := netip.ParseAddr(r.Gw); err != nil || !subnet.Contains(gw) {
			f.invalid(p.Child("gw"), r.Gw, "must be an address of subnet "+subnet.String())
		}
	}
}

// SpiderIPPoolUpdate checks a change of a pool.
func SpiderIPPoolUpdate(pool, old *spiderpoolv2beta1.SpiderIPPool) field.ErrorList {
	var f findings
	f.metaUpdate(&pool.ObjectMeta, &old.ObjectMeta)
	f.ipPool(pool)
	if pool.Spec.Subnet != old.Spec.Subnet {
		f.invalid(specPath.Child("subnet"), pool.Spec.Subnet, fieldIsImmutable)
	}
	f.immutable(specPath.Child("ipVersion"), pool.Spec.IPVersion, old.Spec.IPVersion)
	return f.list
}

// SpiderEndpoint checks a new grant.
func SpiderEndpoint(e *spiderpoolv2beta1.SpiderEndpoint) field.ErrorList {
	var f findings
	f.spiderEndpoint(e)
	return f.list
}

func (f *findings) spiderEndpoint(e *spiderpoolv2beta1.SpiderEndpoint) {
	f.meta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
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
	f.metaUpdate(&e.ObjectMeta, &old.ObjectMeta)
	f.spiderEndpoint(e)
	return f.list
}
