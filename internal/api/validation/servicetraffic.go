package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

const onlyLoadBalancer = "may only be used when `type` is 'LoadBalancer'"

func (f *findings) loadBalancer(svc *corev1.Service) {
	s := &svc.Spec
	balanced := s.Type == corev1.ServiceTypeLoadBalancer
	if ranges := s.LoadBalancerSourceRanges; len(ranges) > 0 {
		p := specPath.Child("LoadBalancerSourceRanges")
		if !balanced {
			f.forbidden(p, onlyLoadBalancer)
		}
		for i, r := range ranges {
			f.add(validation.IsValidCIDR(p.Index(i), strings.TrimSpace(r))...)
		}
	} else if list, ok := svc.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]; ok {
		p := metaPath.Child("annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
		if !balanced {
			f.forbidden(p, onlyLoadBalancer)
		}
		if list = strings.TrimSpace(list); list != "" {
			for _, r := range strings.Split(list, ",") {
				f.add(validation.IsValidCIDR(p, strings.TrimSpace(r))...)
			}
		}
	}
	if s.AllocateLoadBalancerNodePorts != nil && !balanced {
		f.forbidden(specPath.Child("allocateLoadBalancerNodePorts"), onlyLoadBalancer)
	}
	if s.AllocateLoadBalancerNodePorts == nil && balanced {
		f.required(field.NewPath("allocateLoadBalancerNodePorts"), "")
	}
	if c := s.LoadBalancerClass; c != nil {
		if balanced {
			f.qualifiedName(specPath.Child("loadBalancerClass"), *c)
		} else {
			f.forbidden(specPath.Child("loadBalancerClass"), onlyLoadBalancer)
		}
	}
}

func needsHealthCheck(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func reachableFromOutside(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort ||
		s.Type == corev1.ServiceTypeClusterIP && len(s.ExternalIPs) > 0
}

func (f *findings) trafficPolicies(s *corev1.ServiceSpec) {
	p := specPath.Child("externalTrafficPolicy")
	if reachableFromOutside(s) {
		setAndAmong(f, p, s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	} else if s.ExternalTrafficPolicy != "" {
		f.invalid(p, s.ExternalTrafficPolicy, "may only be set for externally-accessible services")
	}
	p = specPath.Child("healthCheckNodePort")
	switch {
	case !needsHealthCheck(s):
		if s.HealthCheckNodePort != 0 {
			f.invalid(p, s.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
		}
	case s.HealthCheckNodePort == 0:
		f.required(p, "")
	default:
		f.portNumber(p, s.HealthCheckNodePort)
	}
	p = specPath.Child("internalTrafficPolicy")
	if s.InternalTrafficPolicy != nil {
		among(f, p, *s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	} else if s.Type == corev1.ServiceTypeNodePort || s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeClusterIP {
		f.required(p, "")
	}
	if d := s.TrafficDistribution; d != nil {
		among(f, specPath.Child("trafficDistribution"), *d, corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)
	}
}

// ServiceStatusUpdate checks a change of a service's status.
func ServiceStatusUpdate(svc, old *corev1.Service) field.ErrorList {
	var f findings
	f.metaUpdate(&svc.ObjectMeta, &old.ObjectMeta)
	p, ingress := statusPath.Child("loadBalancer", "ingress"), svc.Status.LoadBalancer.Ingress
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && len(ingress) > 0 {
		f.forbidden(p, "may only be used when `spec.type` is 'LoadBalancer'")
		return f.list
	}
	for i := range ingress {
		in, p := &ingress[i], p.Index(i)
		if in.IP != "" {
			f.add(validation.IsValidIP(p.Child("ip"), in.IP)...)
		}
		switch {
		case in.IPMode == nil && in.IP != "":
			f.required(p.Child("ipMode"), "must be specified when `ip` is set")
		case in.IPMode != nil && in.IP == "":
			f.forbidden(p.Child("ipMode"), "may not be specified when `ip` is not set")
		case in.IPMode != nil:
			among(&f, p.Child("ipMode"), *in.IPMode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)
		}
		if in.Hostname != "" {
			f.dnsSubdomain(p.Child("hostname"), in.Hostname)
			if netutils.ParseIPSloppy(in.Hostname) != nil {
				f.invalid(p.Child("hostname"), in.Hostname, "must be a DNS name, not an IP address")
			}
		}
	}
	return f.list
}
