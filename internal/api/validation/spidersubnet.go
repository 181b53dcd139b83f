package validation

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// SpiderSubnet checks a new subnet by itself.
func SpiderSubnet(subnet *spiderpoolv2beta1.SpiderSubnet) field.ErrorList {
	var f findings
	f.spiderSubnet(subnet)
	return f.list
}

func (f *findings) spiderSubnet(subnet *spiderpoolv2beta1.SpiderSubnet) {
	f.customMeta(&subnet.ObjectMeta, false)
	s := &subnet.Spec
	f.addresses(addressSource{s.IPVersion, s.Subnet, s.IPs, s.ExcludeIPs, s.Gateway, s.Routes, "Subnet"})
}

// SpiderSubnetUpdate checks a change of a subnet.
func SpiderSubnetUpdate(subnet, old *spiderpoolv2beta1.SpiderSubnet) field.ErrorList {
	var f findings
	f.customMetaUpdate(&subnet.ObjectMeta, &old.ObjectMeta)
	if f.unchangeable(subnet.Spec.IPVersion, old.Spec.IPVersion, subnet.Spec.Subnet, old.Spec.Subnet) {
		f.spiderSubnet(subnet)
	}
	return f.list
}

// SpiderReservedIP checks new reserved addresses.
func SpiderReservedIP(r *spiderpoolv2beta1.SpiderReservedIP) field.ErrorList {
	var f findings
	f.reservedIP(r)
	return f.list
}

func (f *findings) reservedIP(r *spiderpoolv2beta1.SpiderReservedIP) {
	f.customMeta(&r.ObjectMeta, false)
	path := specPath.Child("ipVersion")
	switch v := r.Spec.IPVersion; {
	case v == nil:
		f.invalid(path, v, "is not generated correctly, 'spec.ips' is empty or 'spec.ips[0]' may be invalid")
		return
	case *v != 4 && *v != 6:
		f.add(field.NotSupported(path, *v, []string{"4", "6"}))
		return
	}
	if len(r.Spec.IPs) == 0 {
		f.required(specPath.Child("ips"), "requires at least one item")
	}
	for i, text := range r.Spec.IPs {
		if span, err := address.ParseSpan(text); err != nil || familyOf(span.First) != *r.Spec.IPVersion {
			f.invalid(specPath.Child("ips").Index(i), text, fmt.Sprintf("invalid IP range format in IPv%d '%s'", *r.Spec.IPVersion, text))
		}
	}
}

// SpiderReservedIPUpdate checks a change of reserved addresses.
func SpiderReservedIPUpdate(r, old *spiderpoolv2beta1.SpiderReservedIP) field.ErrorList {
	var f findings
	f.customMetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	if f.unchangeable(r.Spec.IPVersion, old.Spec.IPVersion, "", "") {
		f.reservedIP(r)
	}
	return f.list
}

// cidrOrAddress reads "10.0.0.0/8" or "10.0.0.1".
func cidrOrAddress(text string) bool {
	_, err := netip.ParsePrefix(text)
	_, err2 := netip.ParseAddr(text)
	return err == nil || err2 == nil
}
