package packet

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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

// Front is what clients connect to. A node port has the unspecified address of
// its family.
type Front struct {
	Addr     netip.Addr
	Protocol Protocol
	Port     uint16
}

// NodePort says that any of the node's own addresses is meant.
func (f Front) NodePort() bool { return f.Addr.IsUnspecified() }

// Back is one endpoint of a Front.
type Back struct {
	Addr netip.Addr
	Port uint16
}

// Verdict is what becomes of packets for which there is no endpoint.
type Verdict uint8

// A client of a Service without endpoints is told at once; one that only this
// node has no endpoint for is left to try another node.
const (
	Refuse Verdict = iota
	Drop
)

// Target is what becomes of new connections to a Front.
type Target struct {
	// Near are the endpoints for all packets, or, when the target is split, for
	// those from pods and from the node itself only.
	Near []Back
	// Far are the endpoints for packets from elsewhere when Split.
	Far   []Back
	Split bool
	// None is what happens without an endpoint in Near.
	None Verdict
	// Masquerade hides the client behind the node, so that answers come back here.
	Masquerade bool
	// Sticky is for how many seconds a client keeps its endpoint; 0: not at all.
	Sticky uint32
	// Sources are whom packets may come from; none means anyone.
	Sources []netip.Prefix
}

// Table maps each front to its target. The order of a target's backs is fixed.
type Table map[Front]Target

// Node is where the table is for.
type Node struct{ Name, Zone string }

// defaultStickiness is ClientIP affinity without a timeout of its own.
const defaultStickiness = 10800

// Service is the part of the table that one Service and its slices make on a
// node. Headless, ExternalName and foreign Services make none.
func Service(node Node, svc *corev1.Service, slicesOf []*discoveryv1.EndpointSlice) Table {
	if svc.Spec.Type == corev1.ServiceTypeExternalName || svc.Labels[ProxyNameLabel] != "" {
		return nil
	}
	t := Table{}
	for _, text := range clusterIPs(svc) {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			continue // "None", or not assigned yet
		}
		for i := range svc.Spec.Ports {
			t.port(node, svc, &svc.Spec.Ports[i], ip, slicesOf)
		}
	}
	return t
}

// port adds the fronts of one port in the family of one cluster address.
func (t Table) port(node Node, svc *corev1.Service, port *corev1.ServicePort, ip netip.Addr, slicesOf []*discoveryv1.EndpointSlice) {
	proto, ok := protocol(port.Protocol)
	if !ok {
		return
	}
	found := sorted(node, ip.Is6(), *port, slicesOf)
	inside := Target{Near: found.cluster, Sticky: stickiness(svc)}
	if p := svc.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		inside.Near = found.local
		if len(found.cluster) > 0 {
			inside.None = Drop
		}
	}
	t[Front{ip, proto, uint16(port.Port)}] = inside

	outside := Target{Near: found.cluster, Sticky: stickiness(svc)}
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		outside.Split, outside.Far = true, found.local
	} else {
		outside.Masquerade = true
	}
	for _, text := range svc.Spec.ExternalIPs {
		if a, err := netip.ParseAddr(text); err == nil && a.Is6() == ip.Is6() {
			t[Front{a, proto, uint16(port.Port)}] = outside
		}
	}
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		guarded := outside
		guarded.Sources = sources(svc, ip.Is6())
		for _, in := range svc.Status.LoadBalancer.Ingress {
			a, err := netip.ParseAddr(in.IP)
			if err == nil && a.Is6() == ip.Is6() && (in.IPMode == nil || *in.IPMode == corev1.LoadBalancerIPModeVIP) {
				t[Front{a, proto, uint16(port.Port)}] = guarded
			}
		}
	}
	if port.NodePort != 0 && (svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer) {
		t[Front{anyAddr(ip.Is6()), proto, uint16(port.NodePort)}] = outside
	}
}

func anyAddr(v6 bool) netip.Addr {
	if v6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func stickiness(svc *corev1.Service) uint32 {
	if svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return uint32(*c.ClientIP.TimeoutSeconds)
	}
	return defaultStickiness
}

// sources are the ranges of one family that may use a load balancer. Ranges of
// the other family only admit nobody of this one.
func sources(svc *corev1.Service, v6 bool) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range svc.Spec.LoadBalancerSourceRanges {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() == v6 {
			out = append(out, p.Masked())
		}
	}
	if len(out) == 0 && len(svc.Spec.LoadBalancerSourceRanges) > 0 {
		out = []netip.Prefix{netip.PrefixFrom(anyAddr(v6), anyAddr(v6).BitLen())}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return widest(out)
}

// widest leaves out ranges that lie within another: interval maps take no overlap.
func widest(ordered []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ordered {
		if len(out) == 0 || !out[len(out)-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return out
}

func clusterIPs(svc *corev1.Service) []string {
	if len(svc.Spec.ClusterIPs) > 0 {
		return svc.Spec.ClusterIPs
	}
	return []string{svc.Spec.ClusterIP}
}

func protocol(p corev1.Protocol) (Protocol, bool) {
	switch cmp.Or(p, corev1.ProtocolTCP) {
	case corev1.ProtocolTCP:
		return TCP, true
	case corev1.ProtocolUDP:
		return UDP, true
	case corev1.ProtocolSCTP:
		return SCTP, true
	}
	return 0, false
}
