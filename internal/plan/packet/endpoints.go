package packet

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// choice is whom a Service port may be served by.
type choice struct {
	cluster []Back // from anywhere in the cluster
	local   []Back // on this node only
}

// candidate is an endpoint of the right family with the port's number.
type candidate struct {
	*discoveryv1.Endpoint
	back  Back
	ready bool // or else serving while it terminates
}

// sorted finds the endpoints of a Service port. Where none is ready, those that
// serve while they terminate take over (KEP-1669), for the cluster and for the
// node by themselves. Hints narrow down the cluster's, never the node's.
func sorted(node Node, v6 bool, port corev1.ServicePort, slicesOf []*discoveryv1.EndpointSlice) choice {
	var ready, fading []candidate
	for _, c := range candidates(v6, port, slicesOf) {
		if c.ready {
			ready = append(ready, c)
		} else {
			fading = append(fading, c)
		}
	}
	cluster := hinted(node, ready)
	if len(cluster) == 0 {
		cluster = fading
	}
	local := here(node, ready)
	if len(local) == 0 {
		local = here(node, fading)
	}
	return choice{backs(cluster), backs(local)}
}

func candidates(v6 bool, port corev1.ServicePort, slicesOf []*discoveryv1.EndpointSlice) []candidate {
	var out []candidate
	for _, slice := range slicesOf {
		if (slice.AddressType == discoveryv1.AddressTypeIPv6) != v6 || slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		number, ok := portNumber(slice, port)
		if !ok {
			continue
		}
		for i := range slice.Endpoints {
			ep := &slice.Endpoints[i]
			ready := ptr.Deref(ep.Conditions.Ready, true)
			if !ready && (!ptr.Deref(ep.Conditions.Serving, false) || !ptr.Deref(ep.Conditions.Terminating, false)) {
				continue
			}
			for _, text := range ep.Addresses {
				if a, err := netip.ParseAddr(text); err == nil {
					out = append(out, candidate{ep, Back{Addr: a, Port: number}, ready})
				}
			}
		}
	}
	return out
}

// hinted keeps the endpoints meant for this node, or else for its zone, when
// every endpoint says whom it is for and one of them is for us (KEP-3015).
func hinted(node Node, all []candidate) []candidate {
	forNode := func(c candidate) (us, told bool) {
		if c.Hints == nil || len(c.Hints.ForNodes) == 0 {
			return false, false
		}
		return slices.Contains(c.Hints.ForNodes, discoveryv1.ForNode{Name: node.Name}), true
	}
	forZone := func(c candidate) (us, told bool) {
		if c.Hints == nil || len(c.Hints.ForZones) == 0 || node.Zone == "" {
			return false, false
		}
		return slices.Contains(c.Hints.ForZones, discoveryv1.ForZone{Name: node.Zone}), true
	}
	for _, meant := range []func(candidate) (us, told bool){forNode, forZone} {
		var ours []candidate
		complete := true
		for _, c := range all {
			us, told := meant(c)
			complete = complete && told
			if us {
				ours = append(ours, c)
			}
		}
		if complete && len(ours) > 0 {
			return ours
		}
	}
	return all
}

func here(node Node, all []candidate) []candidate {
	var out []candidate
	for _, c := range all {
		if c.NodeName != nil && *c.NodeName == node.Name {
			out = append(out, c)
		}
	}
	return out
}

// backs are the candidates' addresses, in order and each once.
func backs(all []candidate) []Back {
	out := make([]Back, 0, len(all))
	for _, c := range all {
		out = append(out, c.back)
	}
	slices.SortFunc(out, func(a, b Back) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Port, b.Port)) })
	return slices.Compact(out)
}

// portNumber finds the slice's port of the same name and protocol.
func portNumber(slice *discoveryv1.EndpointSlice, port corev1.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		if ptr.Deref(p.Name, "") == port.Name && p.Port != nil &&
			ptr.Deref(p.Protocol, corev1.ProtocolTCP) == cmp.Or(port.Protocol, corev1.ProtocolTCP) {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

// Health is what a load balancer in front of the nodes asks for at a Service's
// healthCheckNodePort: how many of the endpoints are on this node.
type Health struct {
	Port  uint16
	Local int
}

// HealthOf is the Service's health on a node; ok is false when nobody asks.
func HealthOf(node Node, svc *corev1.Service, slicesOf []*discoveryv1.EndpointSlice) (h Health, ok bool) {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || svc.Spec.HealthCheckNodePort == 0 || svc.Labels[ProxyNameLabel] != "" ||
		svc.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return Health{}, false
	}
	seen := map[netip.Addr]bool{}
	for _, slice := range slicesOf {
		for i := range slice.Endpoints {
			ep := &slice.Endpoints[i]
			if ep.NodeName == nil || *ep.NodeName != node.Name || !ptr.Deref(ep.Conditions.Ready, true) {
				continue
			}
			for _, text := range ep.Addresses {
				if a, err := netip.ParseAddr(text); err == nil {
					seen[a] = true
				}
			}
		}
	}
	return Health{Port: uint16(svc.Spec.HealthCheckNodePort), Local: len(seen)}, true
}
