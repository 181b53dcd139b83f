package columns

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Service is the header of services.
var Service = definitions{
	name(),
	column("Type", "string", corev1.ServiceSpec{}.SwaggerDoc()["type"]),
	column("Cluster-IP", "string", corev1.ServiceSpec{}.SwaggerDoc()["clusterIP"]),
	column("External-IP", "string", corev1.ServiceSpec{}.SwaggerDoc()["externalIPs"]),
	column("Port(s)", "string", corev1.ServiceSpec{}.SwaggerDoc()["ports"]),
	ageColumn(),
	wide("Selector", corev1.ServiceSpec{}.SwaggerDoc()["selector"]),
}

// ServiceRow prints a service.
func ServiceRow(s *corev1.Service) []any {
	ip := none
	if len(s.Spec.ClusterIPs) > 0 {
		ip = s.Spec.ClusterIPs[0]
	}
	return []any{
		s.Name, string(s.Spec.Type), ip, externalIP(s), or(servicePorts(s.Spec.Ports), none),
		age(s.CreationTimestamp), labels.FormatLabels(s.Spec.Selector),
	}
}

func servicePorts(ports []corev1.ServicePort) string {
	out := make([]string, len(ports))
	for i, p := range ports {
		out[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.NodePort > 0 {
			out[i] = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		}
	}
	return strings.Join(out, ",")
}

func externalIP(s *corev1.Service) string {
	own := strings.Join(s.Spec.ExternalIPs, ",")
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return or(own, none)
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeLoadBalancer:
		var given []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			if a := or(in.IP, in.Hostname); a != "" {
				given = append(given, a)
			}
		}
		slices.Sort(given)
		return or(strings.Join(append(slices.Compact(given), s.Spec.ExternalIPs...), ","), "<pending>")
	}
	return unknown
}

// Endpoints is the header of endpoints.
var Endpoints = definitions{
	name(),
	column("Endpoints", "string", corev1.Endpoints{}.SwaggerDoc()["subsets"]),
	ageColumn(),
}

// mostShown is how many addresses or ports one cell shows.
const mostShown = 3

// EndpointsRow prints the endpoints of a service.
func EndpointsRow(e *corev1.Endpoints) []any {
	var list []string
	for i := range e.Subsets {
		s := &e.Subsets[i]
		for _, a := range s.Addresses {
			if len(s.Ports) == 0 {
				list = append(list, a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				list = append(list, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	return []any{e.Name, atMost(list, mostShown, none), age(e.CreationTimestamp)}
}

// EndpointSlice is the header of endpoint slices.
var EndpointSlice = definitions{
	name(),
	column("AddressType", "string", discoveryv1.EndpointSlice{}.SwaggerDoc()["addressType"]),
	column("Ports", "string", discoveryv1.EndpointSlice{}.SwaggerDoc()["ports"]),
	column("Endpoints", "string", discoveryv1.EndpointSlice{}.SwaggerDoc()["endpoints"]),
	ageColumn(),
}

// EndpointSliceRow prints an endpoint slice.
func EndpointSliceRow(e *discoveryv1.EndpointSlice) []any {
	ports := make([]string, len(e.Ports))
	for i, p := range e.Ports {
		switch {
		case p.Port != nil:
			ports[i] = strconv.Itoa(int(*p.Port))
		case p.Name != nil:
			ports[i] = *p.Name
		default:
			ports[i] = "*"
		}
	}
	var addresses []string
	for i := range e.Endpoints {
		addresses = append(addresses, e.Endpoints[i].Addresses...)
	}
	return []any{
		e.Name, string(e.AddressType), atMost(ports, mostShown, unset),
		atMost(addresses, mostShown, unset), age(e.CreationTimestamp),
	}
}
