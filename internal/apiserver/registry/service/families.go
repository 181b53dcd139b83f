package service

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	policyPath   = field.NewPath("spec", "ipFamilyPolicy")
	familiesPath = field.NewPath("spec", "ipFamilies")
	clusterPath  = field.NewPath("spec", "clusterIPs")
)

func invalid(svc *corev1.Service, errs ...*field.Error) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), svc.Name, errs)
}

func headless(svc *corev1.Service) bool {
	return svc.Spec.ClusterIP == corev1.ClusterIPNone
}

func otherFamily(f corev1.IPFamily) corev1.IPFamily {
	if f == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

// keepsPreference says that an update leaves a PreferDualStack service's
// families alone. It must not gain or lose an address only because the cluster
// has become dual-stack or single-stack meanwhile.
func keepsPreference(svc, old *corev1.Service) bool {
	return old != nil &&
		svc.Spec.IPFamilyPolicy != nil && *svc.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack &&
		old.Spec.IPFamilyPolicy != nil && *old.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack &&
		slices.Equal(svc.Spec.ClusterIPs, old.Spec.ClusterIPs) &&
		slices.Equal(svc.Spec.IPFamilies, old.Spec.IPFamilies)
}

// setFamilies fills ipFamilyPolicy and ipFamilies from what the user gave, the
// Service before the update and the cluster's service ranges.
func (a *Allocator) setFamilies(svc, old *corev1.Service) error {
	spec := &svc.Spec
	if spec.Type == corev1.ServiceTypeExternalName || keepsPreference(svc, old) {
		return nil
	}
	if spec.IPFamilyPolicy == nil {
		policy := corev1.IPFamilyPolicySingleStack
		if old != nil && old.Spec.IPFamilyPolicy != nil {
			policy = *old.Spec.IPFamilyPolicy
		} else if headless(svc) && len(spec.Selector) == 0 {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		spec.IPFamilyPolicy = &policy
	}
	if errs := wellFormed(svc); len(errs) > 0 {
		return invalid(svc, errs...)
	}
	if errs := a.reconcileFamilies(svc, old); len(errs) > 0 {
		return invalid(svc, errs...)
	}
	single := *spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
	if headless(svc) && len(spec.Selector) == 0 {
		// Nobody but the author knows what its endpoints will be.
		if len(spec.IPFamilies) == 0 {
			spec.IPFamilies = []corev1.IPFamily{a.primary}
		}
		if !single && len(spec.IPFamilies) == 1 {
			spec.IPFamilies = append(spec.IPFamilies, otherFamily(spec.IPFamilies[0]))
		}
		return nil
	}
	if errs := a.served(svc); len(errs) > 0 {
		return invalid(svc, errs...)
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []corev1.IPFamily{a.primary}
	}
	if !single && len(spec.IPFamilies) == 1 && len(a.families) == 2 {
		spec.IPFamilies = append(spec.IPFamilies, otherFamily(spec.IPFamilies[0]))
	}
	return nil
}

// wellFormed checks as much of the addresses as allocation depends on.
func wellFormed(svc *corev1.Service) (errs field.ErrorList) {
	for i, s := range svc.Spec.ClusterIPs {
		if s == "" || s == corev1.ClusterIPNone {
			continue
		}
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.Is4In6() || ip.Zone() != "" {
			errs = append(errs, field.Invalid(clusterPath.Index(i), s, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
		} else if i < len(svc.Spec.IPFamilies) && svc.Spec.IPFamilies[i] != familyOf(ip) {
			errs = append(errs, field.Invalid(clusterPath.Index(i), s, "expected an "+string(svc.Spec.IPFamilies[i])+" value as indicated by `ipFamilies["+string(rune('0'+i))+"]`"))
		}
	}
	return errs
}

// reconcileFamilies makes policy, families and addresses agree.
func (a *Allocator) reconcileFamilies(svc, old *corev1.Service) (errs field.ErrorList) {
	spec := &svc.Spec
	single := *spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
	switch {
	case old != nil && single:
		// Asking for one stack is enough to give the second address back.
		if slices.Equal(old.Spec.ClusterIPs, spec.ClusterIPs) && len(spec.ClusterIPs) > 1 {
			spec.ClusterIPs = spec.ClusterIPs[:1]
		}
		if slices.Equal(old.Spec.IPFamilies, spec.IPFamilies) && len(spec.IPFamilies) > 1 {
			spec.IPFamilies = spec.IPFamilies[:1]
		}
	case old != nil:
		if len(spec.ClusterIPs) == 1 && len(old.Spec.ClusterIPs) == 2 && old.Spec.ClusterIPs[0] == spec.ClusterIPs[0] {
			errs = append(errs, field.Invalid(policyPath, spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP"))
		}
		if len(spec.IPFamilies) == 1 && len(old.Spec.IPFamilies) == 2 && old.Spec.IPFamilies[0] == spec.IPFamilies[0] {
			errs = append(errs, field.Invalid(policyPath, spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary IP family"))
		}
	}
	if single && len(spec.ClusterIPs) == 2 {
		errs = append(errs, field.Invalid(policyPath, spec.IPFamilyPolicy, "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"))
	}
	if single && len(spec.IPFamilies) == 2 {
		errs = append(errs, field.Invalid(policyPath, spec.IPFamilyPolicy, "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"))
	}
	for i, s := range spec.ClusterIPs {
		ip, err := netip.ParseAddr(s)
		if err != nil || i < len(spec.IPFamilies) {
			continue
		}
		if a.families[familyOf(ip)] == nil {
			errs = append(errs, field.Invalid(clusterPath.Index(i), spec.ClusterIPs, string(familyOf(ip))+" is not configured on this cluster"))
			continue
		}
		spec.IPFamilies = append(spec.IPFamilies, familyOf(ip))
	}
	return errs
}

// served checks that the cluster has the families that are asked for.
func (a *Allocator) served(svc *corev1.Service) (errs field.ErrorList) {
	if *svc.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack && len(a.families) < 2 {
		errs = append(errs, field.Invalid(policyPath, svc.Spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	for i, f := range svc.Spec.IPFamilies {
		if a.families[f] == nil {
			errs = append(errs, field.Invalid(familiesPath.Index(i), f, "not configured on this cluster"))
		}
	}
	return errs
}
