package admission

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	podresource "k8s.io/component-helpers/resource"
)

// applyDefaults fills in what the containers of a pod do not say, and says so
// in an annotation.
func applyDefaults(r *corev1.LimitRange, pod *corev1.Pod) {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, item := range r.Spec.Limits {
		if item.Type == corev1.LimitTypeContainer {
			maps.Copy(requests, item.DefaultRequest)
			maps.Copy(limits, item.Default)
		}
	}
	var set []string
	each := func(what string, list []corev1.Container) {
		for i := range list {
			c := &list[i]
			if names := fillMissing(&c.Resources.Requests, requests); names != "" {
				set = append(set, fmt.Sprintf("%s request for %s %s", names, what, c.Name))
			}
			if names := fillMissing(&c.Resources.Limits, limits); names != "" {
				set = append(set, fmt.Sprintf("%s limit for %s %s", names, what, c.Name))
			}
		}
	}
	each("container", pod.Spec.Containers)
	each("init container", pod.Spec.InitContainers)
	if len(set) == 0 {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[limitRangerKey] = "LimitRanger plugin set: " + strings.Join(set, "; ")
}

// fillMissing returns the names of what it has added.
func fillMissing(to *corev1.ResourceList, from corev1.ResourceList) string {
	var names []string
	for _, name := range sortedResources(from) {
		if _, given := (*to)[name]; given {
			continue
		}
		if *to == nil {
			*to = corev1.ResourceList{}
		}
		(*to)[name] = from[name].DeepCopy()
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

func sortedResources(list corev1.ResourceList) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}

// withinLimits gathers all that is wrong with an object.
func withinLimits(r *corev1.LimitRange, obj runtime.Object) error {
	var errs []error
	for i := range r.Spec.Limits {
		item := &r.Spec.Limits[i]
		switch o := obj.(type) {
		case *corev1.Pod:
			errs = append(errs, podWithin(item, o)...)
		case *corev1.PersistentVolumeClaim:
			errs = append(errs, claimWithin(item, o)...)
		}
	}
	return utilerrors.NewAggregate(errs)
}

func podWithin(item *corev1.LimitRangeItem, pod *corev1.Pod) []error {
	var errs []error
	switch item.Type {
	case corev1.LimitTypeContainer:
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range list {
				errs = append(errs, within(item, list[i].Resources.Requests, list[i].Resources.Limits)...)
			}
		}
	case corev1.LimitTypePod:
		options := podresource.PodResourcesOptions{ExcludeOverhead: true}
		errs = within(item, podresource.PodRequests(pod, options), podresource.PodLimits(pod, options))
	}
	return errs
}

func within(item *corev1.LimitRangeItem, requests, limits corev1.ResourceList) []error {
	var errs []error
	check := func(bounds corev1.ResourceList, f func(what limitedResource, bound resource.Quantity) error) {
		for _, name := range sortedResources(bounds) {
			if err := f(limitedResource{item.Type, name, requests, limits}, bounds[name]); err != nil {
				errs = append(errs, err)
			}
		}
	}
	check(item.Min, limitedResource.atLeast)
	check(item.Max, limitedResource.atMost)
	check(item.MaxLimitRequestRatio, limitedResource.ratio)
	return errs
}

// claimWithin looks at what a claim requests; it has no limits.
func claimWithin(item *corev1.LimitRangeItem, claim *corev1.PersistentVolumeClaim) []error {
	if item.Type != corev1.LimitTypePersistentVolumeClaim {
		return nil
	}
	var errs []error
	requests := claim.Spec.Resources.Requests
	for _, name := range sortedResources(item.Min) {
		if err := (limitedResource{item.Type, name, requests, nil}).atLeast(item.Min[name]); err != nil {
			errs = append(errs, err)
		}
	}
	for _, name := range sortedResources(item.Max) {
		if err := (limitedResource{item.Type, name, requests, nil}).requestAtMost(item.Max[name]); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// limitedResource is one resource of a container, pod or claim.
type limitedResource struct {
	of               corev1.LimitType
	name             corev1.ResourceName
	requests, limits corev1.ResourceList
}

// values brings all to one precision: the finer one if none overflows it.
func values(all ...resource.Quantity) []int64 {
	fine := true
	for _, q := range all {
		fine = fine && q.Value() <= resource.MaxMilliValue
	}
	var out []int64
	for _, q := range all {
		if fine {
			out = append(out, q.MilliValue())
		} else {
			out = append(out, q.Value())
		}
	}
	return out
}

func (r limitedResource) atLeast(bound resource.Quantity) error {
	request, requested := r.requests[r.name]
	limit, limited := r.limits[r.name]
	v := values(request, limit, bound)
	says := fmt.Sprintf("minimum %s usage per %s is %s", r.name, r.of, bound.String())
	switch {
	case !requested:
		return fmt.Errorf("%s.  No request is specified", says)
	case v[0] < v[2]:
		return fmt.Errorf("%s, but request is %s", says, request.String())
	case limited && v[1] < v[2]:
		return fmt.Errorf("%s, but limit is %s", says, limit.String())
	}
	return nil
}

func (r limitedResource) atMost(bound resource.Quantity) error {
	request, requested := r.requests[r.name]
	limit, limited := r.limits[r.name]
	v := values(request, limit, bound)
	says := fmt.Sprintf("maximum %s usage per %s is %s", r.name, r.of, bound.String())
	switch {
	case !limited:
		return fmt.Errorf("%s.  No limit is specified", says)
	case v[1] > v[2]:
		return fmt.Errorf("%s, but limit is %s", says, limit.String())
	case requested && v[0] > v[2]:
		return fmt.Errorf("%s, but request is %s", says, request.String())
	}
	return nil
}

func (r limitedResource) requestAtMost(bound resource.Quantity) error {
	request, requested := r.requests[r.name]
	v := values(request, bound)
	says := fmt.Sprintf("maximum %s usage per %s is %s", r.name, r.of, bound.String())
	switch {
	case !requested:
		return fmt.Errorf("%s.  No request is specified", says)
	case v[0] > v[1]:
		return fmt.Errorf("%s, but request is %s", says, request.String())
	}
	return nil
}

func (r limitedResource) ratio(bound resource.Quantity) error {
	request, limit := r.requests[r.name], r.limits[r.name]
	v := values(request, limit, bound)
	says := fmt.Sprintf("%s max limit to request ratio per %s is %s", r.name, r.of, bound.String())
	switch {
	case v[0] == 0:
		return fmt.Errorf("%s, but no request is specified or request is 0", says)
	case v[1] == 0:
		return fmt.Errorf("%s, but no limit is specified or limit is 0", says)
	}
	if have := float64(v[1]) / float64(v[0]); have > bound.AsApproximateFloat64() {
		return fmt.Errorf("%s, but provided ratio is %f", says, have)
	}
	return nil
}
