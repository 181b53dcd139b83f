package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// clusterIPs checks the addresses of a service against each other and its families.
func (f *findings) clusterIPs(svc *corev1.Service) {
	s := &svc.Spec
	if s.Type == corev1.ServiceTypeExternalName {
		return
	}
	ips := specPath.Child("clusterIPs")
	switch {
	case s.ClusterIP != "" && len(s.ClusterIPs) == 0:
		f.required(ips, "")
	case s.ClusterIP != "" && s.ClusterIPs[0] != s.ClusterIP:
		f.invalid(ips, s.ClusterIPs, "first value must match `clusterIP`")
	case s.ClusterIP == "" && len(s.ClusterIPs) > 0:
		f.invalid(ips, s.ClusterIPs, "must be empty when `clusterIP` is not specified")
	}
	f.families(s)
	if !f.soundIPs(ips, s.ClusterIPs) {
		return
	}
	if len(s.ClusterIPs) > 1 {
		dual, err := netutils.IsDualStackIPStrings(s.ClusterIPs)
		if err != nil {
			f.add(field.InternalError(ips, fmt.Errorf("failed to check for dual stack with error:%w", err)))
		}
		if !dual {
			f.invalid(ips, s.ClusterIPs, "may specify no more than one IP for each IP family")
		}
	}
	if headless(svc) {
		return
	}
	for i, ip := range s.ClusterIPs[:min(len(s.ClusterIPs), len(s.IPFamilies))] {
		family := corev1.IPv4Protocol
		if isIPv6(ip) {
			family = corev1.IPv6Protocol
		}
		if want := s.IPFamilies[i]; want != family && (want == corev1.IPv4Protocol || want == corev1.IPv6Protocol) {
			f.invalid(ips.Index(i), ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", want, i))
		}
	}
}

func (f *findings) families(s *corev1.ServiceSpec) {
	used := names{}
	for i, family := range s.IPFamilies {
		p := specPath.Child("ipFamilies").Index(i)
		among(f, p, family, corev1.IPv4Protocol, corev1.IPv6Protocol)
		if !used.use(string(family)) {
			f.add(field.Duplicate(p, family))
		}
	}
	if policy := s.IPFamilyPolicy; policy != nil {
		among(f, specPath.Child("ipFamilyPolicy"), *policy, corev1.IPFamilyPolicyPreferDualStack,
			corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)
	}
}

// soundIPs says whether each of the addresses stands for itself.
func (f *findings) soundIPs(p *field.Path, ips []string) bool {
	sound := true
	for i, ip := range ips {
		if i == 0 && ip == corev1.ClusterIPNone {
			if len(ips) > 1 {
				f.invalid(p, ips, "'None' must be the first and only value")
				sound = false
			}
			continue
		}
		if errs := validation.IsValidIP(p.Index(i), ip); len(errs) > 0 {
			f.add(errs...)
			sound = false
		}
	}
	if len(ips) > 2 {
		f.invalid(p, ips, "may only hold up to 2 values")
	}
	return sound
}

const onceSet = "may not change once set"

// ServiceUpdate checks a change of a service.
func ServiceUpdate(svc, old *corev1.Service) field.ErrorList {
	var f findings
	f.metaUpdate(&svc.ObjectMeta, &old.ObjectMeta)
	if svc.Spec.Type != corev1.ServiceTypeExternalName && old.Spec.Type != corev1.ServiceTypeExternalName {
		f.clusterIPsUpdate(svc, old)
		f.familiesUpdate(svc, old)
	}
	is, was := svc.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		(is == nil) != (was == nil) || is != nil && was != nil && *is != *was {
		f.invalid(specPath.Child("loadBalancerClass"), is, onceSet)
	}
	if needsHealthCheck(&svc.Spec) && needsHealthCheck(&old.Spec) && svc.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort {
		f.forbidden(specPath.Child("healthCheckNodePort"), "field is immutable")
	}
	f.service(svc)
	return f.list
}

func (f *findings) clusterIPsUpdate(svc, old *corev1.Service) {
	if headless(svc) && headless(old) {
		return
	}
	p, is, was := specPath.Child("clusterIPs"), svc.Spec.ClusterIPs, old.Spec.ClusterIPs
	if len(is) == len(was) {
		for i := range was {
			if is[i] != was[i] {
				f.invalid(p.Index(i), is, onceSet)
			}
		}
		return
	}
	if len(is) == 0 {
		f.invalid(p.Index(0), is, "primary clusterIP can not be unset")
	} else if len(was) > 0 && is[0] != was[0] {
		f.invalid(p.Index(0), is, onceSet)
	}
	if len(is) == 1 && len(was) > 1 && !singleStack(svc) {
		f.invalid(specPath.Child("ipFamilyPolicy"), svc.Spec.IPFamilyPolicy,
			"must be set to 'SingleStack' when releasing the secondary clusterIP")
	}
}

func (f *findings) familiesUpdate(svc, old *corev1.Service) {
	if headless(svc) || headless(old) {
		return
	}
	p, is, was := specPath.Child("ipFamilies"), svc.Spec.IPFamilies, old.Spec.IPFamilies
	if len(is) == len(was) {
		for i := range was {
			if is[i] != was[i] {
				f.invalid(p.Index(0), is, onceSet)
			}
		}
		return
	}
	if len(is) < len(was) && len(svc.Spec.ClusterIPs) == 0 {
		f.invalid(p.Index(0), is, "primary ipFamily can not be unset")
	}
	if len(is) > 0 && len(was) > 0 && is[0] != was[0] {
		f.invalid(p.Index(0), svc.Spec.ClusterIPs, onceSet)
	}
	if len(is) == 1 && len(was) > 1 && !singleStack(svc) {
		f.invalid(specPath.Child("ipFamilyPolicy"), svc.Spec.IPFamilyPolicy,
			"must be set to 'SingleStack' when releasing the secondary ipFamily")
	}
}

func singleStack(svc *corev1.Service) bool {
	return svc.Spec.IPFamilyPolicy != nil && *svc.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}

func isIPv6(ip string) bool { return netutils.IsIPv6String(ip) }
