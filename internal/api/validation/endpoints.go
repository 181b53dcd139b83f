package validation

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Endpoints checks the endpoints of a service.
func Endpoints(e *corev1.Endpoints) field.ErrorList {
	var f findings
	f.endpoints(e)
	return f.list
}

// EndpointsUpdate checks a change of the endpoints of a service.
func EndpointsUpdate(e, old *corev1.Endpoints) field.ErrorList {
	var f findings
	f.metaUpdate(&e.ObjectMeta, &old.ObjectMeta)
	f.endpoints(e)
	return f.list
}

func (f *findings) endpoints(e *corev1.Endpoints) {
	f.meta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	for i := range e.Subsets {
		s, p := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(s.Addresses) == 0 && len(s.NotReadyAddresses) == 0 {
			f.required(p, "must specify `addresses` or `notReadyAddresses`")
		}
		for j := range s.Addresses {
			f.endpointAddress(p.Child("addresses").Index(j), &s.Addresses[j])
		}
		for j := range s.NotReadyAddresses {
			f.endpointAddress(p.Child("notReadyAddresses").Index(j), &s.NotReadyAddresses[j])
		}
		for j := range s.Ports {
			port, p := &s.Ports[j], p.Child("ports").Index(j)
			if port.Name != "" {
				f.dnsLabel(p.Child("name"), port.Name)
			} else if len(s.Ports) > 1 {
				f.required(p.Child("name"), "")
			}
			f.portNumber(p.Child("port"), port.Port)
			f.protocol(p.Child("protocol"), port.Protocol)
			if port.AppProtocol != nil {
				f.qualifiedName(p.Child("appProtocol"), *port.AppProtocol)
			}
		}
	}
}

func (f *findings) endpointAddress(p *field.Path, a *corev1.EndpointAddress) {
	f.add(validation.IsValidIP(p.Child("ip"), a.IP)...)
	if a.Hostname != "" {
		f.dnsLabel(p.Child("hostname"), a.Hostname)
	}
	if a.NodeName != nil {
		f.messages(p.Child("nodeName"), *a.NodeName, apivalidation.NameIsDNSSubdomain(*a.NodeName, false))
	}
	f.ordinaryIP(p.Child("ip"), a.IP)
}

// What one slice may hold.
const (
	mostEndpoints  = 1000
	mostAddresses  = 100
	mostPorts      = 20000
	mostZoneHints  = 8
	mostNodeHints  = 8
	mostTopologies = 16
)

// EndpointSlice checks a new slice.
func EndpointSlice(e *discoveryv1.EndpointSlice) field.ErrorList {
	var f findings
	f.endpointSlice(e)
	return f.list
}

// EndpointSliceUpdate checks a change of a slice.
func EndpointSliceUpdate(e, old *discoveryv1.EndpointSlice) field.ErrorList {
	var f findings
	f.endpointSlice(e)
	f.immutable(field.NewPath("addressType"), e.AddressType, old.AddressType)
	return f.list
}

func (f *findings) endpointSlice(e *discoveryv1.EndpointSlice) {
	f.meta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	if e.AddressType == "" {
		f.required(field.NewPath("addressType"), "")
	} else {
		among(f, field.NewPath("addressType"), e.AddressType,
			discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	}
	p := field.NewPath("endpoints")
	if n := len(e.Endpoints); n > mostEndpoints {
		f.add(field.TooMany(p, n, mostEndpoints))
		return
	}
	for i := range e.Endpoints {
		f.endpoint(p.Index(i), &e.Endpoints[i], e.AddressType)
	}
	f.slicePorts(field.NewPath("ports"), e.Ports)
}

func (f *findings) endpoint(p *field.Path, e *discoveryv1.Endpoint, kind discoveryv1.AddressType) {
	at := p.Child("addresses")
	switch n := len(e.Addresses); {
	case n == 0:
		f.required(at, "must contain at least 1 address")
	case n > mostAddresses:
		f.add(field.TooMany(at, n, mostAddresses))
	}
	for i, a := range e.Addresses {
		f.sliceAddress(at.Index(i), a, kind)
	}
	if e.NodeName != nil {
		f.messages(p.Child("nodeName"), *e.NodeName, apivalidation.NameIsDNSSubdomain(*e.NodeName, false))
	}
	if n := len(e.DeprecatedTopology); n > mostTopologies {
		f.add(field.TooMany(p.Child("deprecatedTopology"), n, mostTopologies))
	}
	f.add(metavalidation.ValidateLabels(e.DeprecatedTopology, p.Child("deprecatedTopology"))...)
	if _, ok := e.DeprecatedTopology[corev1.LabelTopologyZone]; ok {
		f.invalid(p.Child("deprecatedTopology").Key(corev1.LabelTopologyZone), corev1.LabelTopologyZone,
			"reserved and cannot be set via deprecatedTopology")
	}
	if e.Hostname != nil {
		f.dnsLabel(p.Child("hostname"), *e.Hostname)
	}
	if e.Hints != nil {
		f.hints(p.Child("hints"), e.Hints)
	}
}

func (f *findings) sliceAddress(p *field.Path, a string, kind discoveryv1.AddressType) {
	switch kind {
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
		errs := validation.IsValidIP(p, a)
		if len(errs) == 0 && isIPv6(a) != (kind == discoveryv1.AddressTypeIPv6) {
			errs = field.ErrorList{field.Invalid(p, a, "must be an "+string(kind)+" address")}
		}
		if len(errs) > 0 {
			f.add(errs...)
			return
		}
		f.ordinaryIP(p, a)
	case discoveryv1.AddressTypeFQDN:
		f.add(validation.IsFullyQualifiedDomainName(p, a)...)
	}
}

func (f *findings) hints(p *field.Path, h *discoveryv1.EndpointHints) {
	if n := len(h.ForZones); n > mostZoneHints {
		f.add(field.TooMany(p.Child("forZones"), n, mostZoneHints))
		return
	}
	zones, nodes := names{}, names{}
	for i := range h.ForZones {
		name, p := h.ForZones[i].Name, p.Child("forZones").Index(i).Child("name")
		if !zones.use(name) {
			f.add(field.Duplicate(p, name))
		}
		f.messages(p, name, validation.IsValidLabelValue(name))
	}
	if n := len(h.ForNodes); n > mostNodeHints {
		f.add(field.TooMany(p.Child("forNodes"), n, mostNodeHints))
		return
	}
	for i := range h.ForNodes {
		name, p := h.ForNodes[i].Name, p.Child("forNodes").Index(i).Child("name")
		if !nodes.use(name) {
			f.add(field.Duplicate(p, name))
		}
		f.messages(p, name, apivalidation.NameIsDNSSubdomain(name, false))
	}
}

func (f *findings) slicePorts(p *field.Path, ports []discoveryv1.EndpointPort) {
	if n := len(ports); n > mostPorts {
		f.add(field.TooMany(p, n, mostPorts))
		return
	}
	used := names{}
	for i := range ports {
		port, p := &ports[i], p.Index(i)
		name := ""
		if port.Name != nil {
			name = *port.Name
		}
		if name != "" {
			f.dnsLabel(p.Child("name"), name)
		}
		if !used.use(name) {
			f.add(field.Duplicate(p.Child("name"), port.Name))
		}
		if port.Protocol == nil {
			f.required(p.Child("protocol"), "")
		} else {
			among(f, p.Child("protocol"), *port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
		}
		if port.Port != nil {
			f.portNumber(p.Child("port"), *port.Port)
		}
		if port.AppProtocol != nil {
			f.qualifiedName(p.Child("appProtocol"), *port.AppProtocol)
		}
	}
}
