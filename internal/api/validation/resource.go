package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podresource "k8s.io/component-helpers/resource"
)

const (
	mustNotBeNegative = "must be greater than or equal to 0"
	mustBePositive    = "must be greater than zero"
)

// quantity checks an amount of a resource.
func (f *findings) quantity(p *field.Path, name corev1.ResourceName, q resource.Quantity) {
	if q.Sign() < 0 {
		f.invalid(p, q.String(), mustNotBeNegative)
	}
	if integerResource(name) && q.MilliValue()%1000 != 0 {
		f.invalid(p, q, "must be an integer")
	}
}

func (f *findings) positive(p *field.Path, q resource.Quantity) bool {
	if q.Sign() <= 0 {
		f.invalid(p, q.String(), mustBePositive)
		return false
	}
	return true
}

// resourceName checks the name of something that nodes have.
func (f *findings) resourceName(p *field.Path, name corev1.ResourceName) bool {
	if m := validation.IsQualifiedName(string(name)); len(m) > 0 {
		f.messages(p, name, m)
		return false
	}
	if !strings.Contains(string(name), "/") && !standardResource(name) {
		f.invalid(p, name, "must be a standard resource type or fully qualified")
		return false
	}
	return true
}

func (f *findings) containerResourceName(p *field.Path, name corev1.ResourceName) {
	f.resourceName(p, name)
	if !strings.Contains(string(name), "/") {
		if !containerResource(name) {
			f.invalid(p, name, "must be a standard resource for containers")
		}
		return
	}
	if !nativeResource(name) && !extendedResource(name) {
		f.invalid(p, name, "doesn't follow extended resource name standard")
	}
}

func (f *findings) podResourceName(p *field.Path, name corev1.ResourceName) {
	if f.resourceName(p, name) && !podresource.IsSupportedPodLevelResource(name) {
		supported := podresource.SupportedPodLevelResources().UnsortedList()
		slices.Sort(supported)
		f.add(field.NotSupported(p, name, supported))
	}
}

// requirements checks what a container or a pod wants; nameCheck checks each name.
func (f *findings) requirements(p *field.Path, r *corev1.ResourceRequirements, nameCheck func(*field.Path, corev1.ResourceName)) {
	compute, huge := false, false
	entry := func(p *field.Path, name corev1.ResourceName, q resource.Quantity) {
		nameCheck(p, name)
		f.quantity(p, name, q)
		if hugePage(name) {
			huge = true
			if !divisible(name, q) {
				f.invalid(p, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name))
			}
		}
		compute = compute || name == corev1.ResourceCPU || name == corev1.ResourceMemory
	}
	limits, requests := p.Child("limits"), p.Child("requests")
	for _, name := range sortedNames(r.Limits) {
		entry(limits.Key(string(name)), name, r.Limits[name])
	}
	for _, name := range sortedNames(r.Requests) {
		q := r.Requests[name]
		entry(requests.Key(string(name)), name, q)
		f.requestWithinLimit(requests, limits, name, q, r.Limits)
	}
	if huge && !compute {
		f.forbidden(p, "HugePages require cpu or memory")
	}
}

func (f *findings) requestWithinLimit(requests, limits *field.Path, name corev1.ResourceName, q resource.Quantity, limitOf corev1.ResourceList) {
	limit, limited := limitOf[name]
	switch {
	case !limited && !overcommits(name):
		f.required(limits, "Limit must be set for non overcommitable resources")
	case !limited:
	case !overcommits(name) && q.Cmp(limit) != 0:
		f.invalid(requests, q.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))
	case q.Cmp(limit) > 0:
		f.invalid(requests, q.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))
	}
}

func sortedNames(l corev1.ResourceList) []corev1.ResourceName {
	if len(l) == 0 {
		return nil
	}
	out := make([]corev1.ResourceName, 0, len(l))
	for name := range l {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
