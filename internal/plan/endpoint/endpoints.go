package endpoint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// group is the endpoints of one address family that answer on the same ports.
type group struct {
	family    discoveryv1.AddressType
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
}

// Ready says that the pod's Ready condition is true.
func Ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Counts says that the pod has addresses to offer.
func Counts(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	return pod.Status.PodIP != "" || len(pod.Status.PodIPs) > 0
}

// groups sorts the Service's endpoints by family and ports.
func (s State) groups() []*group {
	byKey := map[string]*group{}
	var out []*group
	for _, family := range families(s.Service) {
		found := false
		for _, pod := range s.Pods {
			if !Counts(pod) {
				continue
			}
			addresses := addresses(pod, family)
			if len(addresses) == 0 {
				continue
			}
			found = true
			ports := endpointPorts(s.Service, pod)
			key := string(family) + portsKey(ports)
			g := byKey[key]
			if g == nil {
				g = &group{family: family, ports: ports}
				byKey[key] = g
				out = append(out, g)
			}
			g.endpoints = append(g.endpoints, s.endpoint(pod, addresses))
		}
		if !found {
			// An empty slice says that the Service is known and has no endpoint.
			out = append(out, &group{family: family})
		}
	}
	for _, g := range out {
		slices.SortStableFunc(g.endpoints, func(a, b discoveryv1.Endpoint) int {
			return strings.Compare(a.TargetRef.Name, b.TargetRef.Name)
		})
	}
	return out
}

func (s State) endpoint(pod *corev1.Pod, addresses []string) discoveryv1.Endpoint {
	serving := Ready(pod)
	terminating := pod.DeletionTimestamp != nil
	e := discoveryv1.Endpoint{
		Addresses: addresses,
		Conditions: discoveryv1.EndpointConditions{
			Ready:       ptr.To(publishesNotReady(s.Service) || (serving && !terminating)),
			Serving:     ptr.To(serving),
			Terminating: ptr.To(terminating),
		},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		e.NodeName = ptr.To(pod.Spec.NodeName)
		if zone := s.Zones[pod.Spec.NodeName]; zone != "" {
			e.Zone = ptr.To(zone)
		}
	}
	e.Hints = hints(s.Service, e)
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == s.Service.Name {
		e.Hostname = ptr.To(pod.Spec.Hostname)
	}
	return e
}

// tolerateUnready is what publishNotReadyAddresses was before it was a field;
// old manifests still say it.
const tolerateUnready = "service.alpha.kubernetes.io/tolerate-unready-endpoints"

func publishesNotReady(service *corev1.Service) bool {
	return service.Spec.PublishNotReadyAddresses || service.Annotations[tolerateUnready] == "true"
}

// hints say for whom an endpoint is that the Service's trafficDistribution wants
// near its clients.
func hints(service *corev1.Service, e discoveryv1.Endpoint) *discoveryv1.EndpointHints {
	var h discoveryv1.EndpointHints
	how := ptr.Deref(service.Spec.TrafficDistribution, "")
	sameNode := how == corev1.ServiceTrafficDistributionPreferSameNode
	sameZone := sameNode || how == corev1.ServiceTrafficDistributionPreferSameZone || how == corev1.ServiceTrafficDistributionPreferClose
	if !ptr.Deref(e.Conditions.Ready, false) {
		return nil
	}
	if sameNode && e.NodeName != nil {
		h.ForNodes = []discoveryv1.ForNode{{Name: *e.NodeName}}
	}
	if sameZone && e.Zone != nil {
		h.ForZones = []discoveryv1.ForZone{{Name: *e.Zone}}
	}
	if len(h.ForNodes)+len(h.ForZones) == 0 {
		return nil
	}
	return &h
}

func families(service *corev1.Service) []discoveryv1.AddressType {
	var out []discoveryv1.AddressType
	for _, f := range service.Spec.IPFamilies {
		if f == corev1.IPv6Protocol {
			out = append(out, discoveryv1.AddressTypeIPv6)
		} else {
			out = append(out, discoveryv1.AddressTypeIPv4)
		}
	}
	if len(out) > 0 {
		return out
	}
	if ip, err := netip.ParseAddr(service.Spec.ClusterIP); err == nil && ip.Is6() {
		return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv6}
	}
	return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4}
}

func addresses(pod *corev1.Pod, family discoveryv1.AddressType) []string {
	all := pod.Status.PodIPs
	if len(all) == 0 {
		all = []corev1.PodIP{{IP: pod.Status.PodIP}}
	}
	var out []string
	for _, p := range all {
		ip, err := netip.ParseAddr(p.IP)
		if err == nil && ip.Unmap().Is4() == (family == discoveryv1.AddressTypeIPv4) {
			out = append(out, ip.Unmap().String())
		}
	}
	return out
}

// endpointPorts are the Service's ports as this pod serves them; a named target
// port that the pod does not have is left out.
func endpointPorts(service *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	out := []discoveryv1.EndpointPort{}
	for i := range service.Spec.Ports {
		p := &service.Spec.Ports[i]
		number, ok := targetPort(pod, p)
		if !ok {
			continue
		}
		out = append(out, discoveryv1.EndpointPort{
			Name: ptr.To(p.Name), Port: ptr.To(number), Protocol: ptr.To(p.Protocol), AppProtocol: p.AppProtocol,
		})
	}
	slices.SortFunc(out, func(a, b discoveryv1.EndpointPort) int { return strings.Compare(portKey(a), portKey(b)) })
	return out
}

func targetPort(pod *corev1.Pod, p *corev1.ServicePort) (int32, bool) {
	if p.TargetPort.Type == intstr.Int {
		if p.TargetPort.IntVal == 0 {
			return p.Port, true
		}
		return p.TargetPort.IntVal, true
	}
	find := func(containers []corev1.Container, sidecarsOnly bool) (int32, bool) {
		for i := range containers {
			c := &containers[i]
			if sidecarsOnly && (c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways) {
				continue
			}
			for _, cp := range c.Ports {
				if cp.Name == p.TargetPort.StrVal && orTCP(cp.Protocol) == orTCP(p.Protocol) {
					return cp.ContainerPort, true
				}
			}
		}
		return 0, false
	}
	if n, ok := find(pod.Spec.Containers, false); ok {
		return n, true
	}
	return find(pod.Spec.InitContainers, true)
}

func orTCP(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

func portsKey(ports []discoveryv1.EndpointPort) string {
	var b strings.Builder
	for _, p := range ports {
		b.WriteString("|" + portKey(p))
	}
	return b.String()
}

func portKey(p discoveryv1.EndpointPort) string {
	return fmt.Sprintf("%s/%d/%s/%s", ptr.Deref(p.Name, ""), ptr.Deref(p.Port, 0), ptr.Deref(p.Protocol, ""), ptr.Deref(p.AppProtocol, ""))
}
