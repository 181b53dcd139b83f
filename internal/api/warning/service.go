package warning

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Service warns about a service.
func Service(svc *corev1.Service) []string {
	var w list
	s, spec := &svc.Spec, field.NewPath("spec")
	if _, ok := svc.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; ok {
		w.say("annotation %s is deprecated, please use %s instead", corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode)
	}
	headless := s.Type == corev1.ServiceTypeClusterIP && s.ClusterIP == corev1.ClusterIPNone
	named := s.Type == corev1.ServiceTypeExternalName
	if s.ClusterIP != "" && s.ClusterIP != corev1.ClusterIPNone {
		for i, ip := range s.ClusterIPs {
			w.add(validation.GetWarningsForIP(spec.Child("clusterIPs").Index(i), ip))
		}
	}
	if headless {
		if s.LoadBalancerIP != "" {
			w.say("spec.loadBalancerIP is ignored for headless services")
		}
		if len(s.ExternalIPs) > 0 {
			w.say("spec.externalIPs is ignored for headless services")
		}
		if s.SessionAffinity != corev1.ServiceAffinityNone {
			w.say("spec.SessionAffinity is ignored for headless services")
		}
	}
	for i, ip := range s.ExternalIPs {
		w.add(validation.GetWarningsForIP(spec.Child("externalIPs").Index(i), ip))
	}
	if len(s.ExternalIPs) > 0 && !headless && !named {
		w.say("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	}
	if s.LoadBalancerIP != "" {
		w.add(validation.GetWarningsForIP(spec.Child("loadBalancerIP"), s.LoadBalancerIP))
	}
	for i, cidr := range s.LoadBalancerSourceRanges {
		w.add(validation.GetWarningsForCIDR(spec.Child("loadBalancerSourceRanges").Index(i), cidr))
	}
	if named && len(s.ExternalIPs) > 0 {
		w.say("spec.externalIPs is ignored when spec.type is %q", s.Type)
	}
	if !named && s.ExternalName != "" {
		w.say("spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName)
	}
	if d := s.TrafficDistribution; d != nil && *d == corev1.ServiceTrafficDistributionPreferClose {
		w.say("spec.trafficDistribution: %q is deprecated; use %q", *d, corev1.ServiceTrafficDistributionPreferSameZone)
	}
	return w
}

// Endpoints warns about addresses that are written in a strange way. That the
// kind itself is deprecated is said by the server for every request.
func Endpoints(e *corev1.Endpoints) []string {
	var w list
	for i := range e.Subsets {
		p := field.NewPath("subsets").Index(i)
		for j, a := range e.Subsets[i].Addresses {
			w.add(validation.GetWarningsForIP(p.Child("addresses").Index(j).Child("ip"), a.IP))
		}
		for j, a := range e.Subsets[i].NotReadyAddresses {
			w.add(validation.GetWarningsForIP(p.Child("notReadyAddresses").Index(j).Child("ip"), a.IP))
		}
	}
	return w
}
