package podspec

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// PortMapping leads what comes to a port of the node to a pod.
type PortMapping struct {
	// HostIP is invalid for all addresses of the node.
	HostIP   netip.Addr
	HostPort uint16
	Protocol uint8 // of the IP header
	Pod      netip.Addr
	Port     uint16
}

// The protocols that a port can have, as the IP header numbers them.
const (
	tcp  = 6
	udp  = 17
	sctp = 132
)

// PortMappings are the ports of the node that a pod with these addresses asks
// for. A pod on the node's network has its ports there anyway.
func PortMappings(pod *corev1.Pod, ips []string) []PortMapping {
	if pod.Spec.HostNetwork {
		return nil
	}
	var out []PortMapping
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				if p.HostPort != 0 {
					out = append(out, mappings(p, ips)...)
				}
			}
		}
	}
	return out
}

// mappings are one port's, one for each address of the family that it is for.
func mappings(p corev1.ContainerPort, ips []string) []PortMapping {
	m := PortMapping{HostPort: uint16(p.HostPort), Port: uint16(p.ContainerPort), Protocol: tcp}
	switch p.Protocol {
	case corev1.ProtocolUDP:
		m.Protocol = udp
	case corev1.ProtocolSCTP:
		m.Protocol = sctp
	}
	bound, err := netip.ParseAddr(p.HostIP)
	named := err == nil
	if named && !bound.IsUnspecified() {
		m.HostIP = bound
	}
	var out []PortMapping
	for _, ip := range ips {
		addr, err := netip.ParseAddr(ip)
		if err != nil || named && addr.Is4() != bound.Is4() {
			continue
		}
		m.Pod = addr
		out = append(out, m)
	}
	return out
}
