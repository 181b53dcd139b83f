package packet

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// ProxyNameLabel marks Services that another proxy serves (KEP-2447).
const ProxyNameLabel = "service.kubernetes.io/service-proxy-name"

// Protocol is an IP protocol number.
type Protocol uint8

// The protocols that a ServicePort may have.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// Front is what clients connect to.
type Front struct {
	Addr     netip.Addr
	Protocol Protocol
	Port     uint16
}

// Back is one endpoint of a Front.
type Back struct {
	Addr netip.Addr
	Port uint16
}

// Table maps each front to its backs in a fixed order. A front without backs is
// refused.
type Table map[Front][]Back

// Service is the part of the table that one Service and its slices make.
// Headless, ExternalName and foreign Services make none.
func Service(svc *corev1.Service, slicesOf []*discoveryv1.EndpointSlice) Table {
	if svc.Spec.Type == corev1.ServiceTypeExternalName || svc.Labels[ProxyNameLabel] != "" {
		return nil
	}
	t := Table{}
	for _, text := range clusterIPs(svc) {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			continue // "None", or not assigned yet
		}
		for _, port := range svc.Spec.Ports {
			if proto, ok := protocol(port.Protocol); ok {
				t[Front{Addr: addr, Protocol: proto, Port: uint16(port.Port)}] = backs(addr.Is6(), port, slicesOf)
			}
		}
	}
	return t
}

func clusterIPs(svc *corev1.Service) []string {
	if len(svc.Spec.ClusterIPs) > 0 {
		return svc.Spec.ClusterIPs
	}
	return []string{svc.Spec.ClusterIP}
}

func protocol(p corev1.Protocol) (Protocol, bool) {
	switch p {
	case corev1.ProtocolTCP, "":
		return TCP, true
	case corev1.ProtocolUDP:
		return UDP, true
	case corev1.ProtocolSCTP:
		return SCTP, true
	}
	return 0, false
}

// backs collects the ready endpoints of one family for a Service port. When
// none is ready, those that are serving while they terminate take over (KEP-1669).
func backs(v6 bool, port corev1.ServicePort, slicesOf []*discoveryv1.EndpointSlice) []Back {
	ready, serving := sets.New[Back](), sets.New[Back]()
	for _, slice := range slicesOf {
		if (slice.AddressType == discoveryv1.AddressTypeIPv6) != v6 || slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		number, ok := portNumber(slice, port)
		if !ok {
			continue
		}
		for _, ep := range slice.Endpoints {
			into := serving
			switch {
			case isTrue(ep.Conditions.Ready, true):
				into = ready
			case !isTrue(ep.Conditions.Serving, false) || !isTrue(ep.Conditions.Terminating, false):
				continue
			}
			for _, text := range ep.Addresses {
				if addr, err := netip.ParseAddr(text); err == nil {
					into.Insert(Back{Addr: addr, Port: number})
				}
			}
		}
	}
	if ready.Len() == 0 {
		ready = serving
	}
	out := ready.UnsortedList()
	slices.SortFunc(out, func(a, b Back) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Port, b.Port)) })
	return out
}

// portNumber finds the slice's port of the same name and protocol.
func portNumber(slice *discoveryv1.EndpointSlice, port corev1.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		name, proto := "", corev1.ProtocolTCP
		if p.Name != nil {
			name = *p.Name
		}
		if p.Protocol != nil {
			proto = *p.Protocol
		}
		if name == port.Name && proto == cmp.Or(port.Protocol, corev1.ProtocolTCP) && p.Port != nil {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

func isTrue(b *bool, unset bool) bool {
	if b == nil {
		return unset
	}
	return *b
}
