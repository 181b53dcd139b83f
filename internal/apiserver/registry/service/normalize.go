package service

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// keepAllocated fills what an update left out but the Service already has, so
// that applying the same manifest twice changes nothing.
func keepAllocated(svc, old *corev1.Service) {
	hasAddress := func(s *corev1.Service) bool { return s.Spec.Type != corev1.ServiceTypeExternalName }
	if hasAddress(svc) && hasAddress(old) {
		if svc.Spec.ClusterIP == "" {
			svc.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(svc.Spec.ClusterIPs) == 0 && svc.Spec.ClusterIP == old.Spec.ClusterIP {
			svc.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if usesNodePorts(svc) && usesNodePorts(old) {
		keepNodePorts(svc, old)
	}
	if wantsHealthPort(svc) && wantsHealthPort(old) && svc.Spec.HealthCheckNodePort == 0 {
		svc.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

func keepNodePorts(svc, old *corev1.Service) {
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	had := map[key]int32{}
	for _, p := range old.Spec.Ports {
		had[key{p.Protocol, p.Port}] = p.NodePort
	}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if port := had[key{p.Protocol, p.Port}]; p.NodePort == 0 && port != 0 && !nodePortUsed(svc, port, p.Protocol) {
			p.NodePort = port
		}
	}
}

// alignAddresses keeps clusterIP and clusterIPs saying the same, also for
// clients that know only the former.
func alignAddresses(svc, old *corev1.Service) {
	s := &svc.Spec
	if old == nil {
		if s.ClusterIP != "" && len(s.ClusterIPs) == 0 {
			s.ClusterIPs = []string{s.ClusterIP}
		}
		return
	}
	sameOne, sameList := s.ClusterIP == old.Spec.ClusterIP, slices.Equal(s.ClusterIPs, old.Spec.ClusterIPs)
	switch {
	case !sameOne && sameList && s.ClusterIP == "":
		s.ClusterIPs = nil
	case !sameOne && sameList:
		s.ClusterIPs = []string{s.ClusterIP}
	case sameOne && !sameList && len(s.ClusterIPs) == 0:
		s.ClusterIP = ""
	case s.ClusterIP != "" && len(s.ClusterIPs) == 0:
		s.ClusterIPs = []string{s.ClusterIP}
	}
}

// dropForType clears what the new type has no use for, unless the user has set
// it to something else in the same request, which validation then refuses.
func dropForType(svc, old *corev1.Service) {
	s, was := &svc.Spec, &old.Spec
	if s.Type == corev1.ServiceTypeExternalName && was.Type != corev1.ServiceTypeExternalName {
		if s.ClusterIP == was.ClusterIP && slices.Equal(s.ClusterIPs, was.ClusterIPs) {
			s.ClusterIP, s.ClusterIPs = "", nil
		}
		if slices.Equal(s.IPFamilies, was.IPFamilies) {
			s.IPFamilies = nil
		}
		if same(s.IPFamilyPolicy, was.IPFamilyPolicy) {
			s.IPFamilyPolicy = nil
		}
	}
	if usesNodePorts(old) && !usesNodePorts(svc) && onlyPortsOf(svc, old) {
		for i := range s.Ports {
			s.Ports[i].NodePort = 0
		}
	}
	if wantsHealthPort(old) && !wantsHealthPort(svc) && s.HealthCheckNodePort == was.HealthCheckNodePort {
		s.HealthCheckNodePort = 0
	}
	if was.Type == corev1.ServiceTypeLoadBalancer && s.Type != corev1.ServiceTypeLoadBalancer {
		if same(s.AllocateLoadBalancerNodePorts, was.AllocateLoadBalancerNodePorts) {
			s.AllocateLoadBalancerNodePorts = nil
		}
		if same(s.LoadBalancerClass, was.LoadBalancerClass) {
			s.LoadBalancerClass = nil
		}
	}
	if reachable(old) && !reachable(svc) && s.ExternalTrafficPolicy == was.ExternalTrafficPolicy {
		s.ExternalTrafficPolicy = ""
	}
	if s.Type != corev1.ServiceTypeLoadBalancer {
		svc.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// reachable says whether svc can be reached from outside of the cluster.
func reachable(svc *corev1.Service) bool {
	return usesNodePorts(svc) || svc.Spec.Type == corev1.ServiceTypeClusterIP && len(svc.Spec.ExternalIPs) > 0
}

// onlyPortsOf says that svc names no node port that old has not.
func onlyPortsOf(svc, old *corev1.Service) bool {
	had := map[int32]bool{0: true}
	for _, p := range old.Spec.Ports {
		had[p.NodePort] = true
	}
	return !slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return !had[p.NodePort] })
}
