package validation

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"

	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// SpiderCoordinator checks a new coordinator.
func SpiderCoordinator(c *spiderpoolv2beta1.SpiderCoordinator) field.ErrorList {
	var f findings
	f.customMeta(&c.ObjectMeta, false)
	f.coordinator(&c.Spec, true)
	return f.list
}

// SpiderCoordinatorUpdate checks a change of a coordinator.
func SpiderCoordinatorUpdate(c, old *spiderpoolv2beta1.SpiderCoordinator) field.ErrorList {
	var f findings
	f.customMetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.coordinator(&c.Spec, true)
	return f.list
}

var macPrefix = regexp.MustCompile(`^[0-9a-fA-F]{2}:[0-9a-fA-F]{2}$`)

// coordinator checks what SpiderCoordinator and SpiderMultusConfig share; whole
// is for the former, which lacks nothing.
func (f *findings) coordinator(s *spiderpoolv2beta1.CoordinatorSpec, whole bool) {
	if s.Mode != nil {
		among(f, specPath.Child("mode"), *s.Mode, "auto", "underlay", "overlay", "disabled")
	}
	types := []string{"auto", "cluster", "calico", "cilium", "none"}
	if t := s.PodCIDRType; t != nil {
		among(f, specPath.Child("podCIDRType"), *t, types...)
	} else if whole {
		f.add(field.NotSupported(specPath.Child("podCIDRType"), "", types))
	}
	for i, cidr := range s.HijackCIDR {
		if !cidrOrAddress(cidr) {
			f.invalid(specPath.Child("extraCIDR").Index(i), cidr, "invalid CIDR format '"+cidr+"'")
		}
	}
	if p := s.PodMACPrefix; p != nil && *p != "" {
		if !macPrefix.MatchString(*p) {
			f.invalid(specPath.Child("podMACPrefix"), *p, "not a valid MAC prefix")
		} else if first, _ := strconv.ParseInt((*p)[:2], 16, 0); first&1 != 0 {
			f.invalid(specPath.Child("podMACPrefix"), *p, "not a unicast MAC: the lowest bit of the first byte must be 0")
		}
	}
	if q := s.TxQueueLen; q != nil && *q < 0 {
		f.invalid(specPath.Child("txQueueLen"), *q, "txQueueLen can't be less than 0")
	}
	if r := s.PodRPFilter; r != nil && *r > 2 {
		f.add(field.NotSupported(specPath.Child("podRPFilter"), *r, []string{"0", "1", "2"}))
	}
	if a := s.VethLinkAddress; a != nil && *a != "" {
		if _, err := netip.ParseAddr(*a); err != nil {
			f.invalid(specPath.Child("vethLinkAddress"), *a, "vethLinkAddress is an invalid IP address")
		}
	}
	if m := s.VethMTU; m != nil && *m <= 0 {
		f.invalid(specPath.Child("vethMTU"), *m, "vethMTU must be greater than 0")
	}
}

// NetworkAttachmentDefinition checks a new network: whatever its configuration
// says, it must be JSON.
func NetworkAttachmentDefinition(n *cniv1.NetworkAttachmentDefinition) field.ErrorList {
	var f findings
	f.customMeta(&n.ObjectMeta, true)
	f.attachment(n)
	return f.list
}

func (f *findings) attachment(n *cniv1.NetworkAttachmentDefinition) {
	if text := n.Spec.Config; text != "" && !json.Valid([]byte(text)) {
		f.invalid(specPath.Child("config"), text, "must be a CNI configuration in JSON")
	}
}

// NetworkAttachmentDefinitionUpdate checks a change of a network.
func NetworkAttachmentDefinitionUpdate(n, old *cniv1.NetworkAttachmentDefinition) field.ErrorList {
	var f findings
	f.customMetaUpdate(&n.ObjectMeta, &old.ObjectMeta)
	f.attachment(n)
	return f.list
}
