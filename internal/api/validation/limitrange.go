package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// LimitRange checks a LimitRange, new or changed.
func LimitRange(l *corev1.LimitRange) field.ErrorList {
	f := &findings{}
	f.meta(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	types := names{}
	for i := range l.Spec.Limits {
		item, p := &l.Spec.Limits[i], specPath.Child("limits").Index(i)
		f.limitType(item.Type, p.Child("type"))
		if !types.use(string(item.Type)) {
			f.add(field.Duplicate(p.Child("type"), item.Type))
		}
		f.limitRangeItem(item, p)
	}
	return f.list
}

func (f *findings) limitType(t corev1.LimitType, p *field.Path) {
	if m := validation.IsQualifiedName(string(t)); len(m) > 0 {
		f.messages(p, t, m)
		return
	}
	standard := []corev1.LimitType{corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim}
	if !strings.Contains(string(t), "/") && !slices.Contains(standard, t) {
		f.invalid(p, t, "must be a standard limit type or fully qualified")
	}
}

func (f *findings) limitRangeItem(item *corev1.LimitRangeItem, p *field.Path) {
	all := map[corev1.ResourceName]bool{}
	check := func(list corev1.ResourceList, name string) {
		for _, r := range sortedNames(list) {
			f.limitedResource(item.Type, r, p.Child(name).Key(string(r)))
			all[r] = true
		}
	}
	check(item.Max, "max")
	check(item.Min, "min")
	defaults, requests := item.Default, item.DefaultRequest
	if item.Type == corev1.LimitTypePod {
		const notOfPods = "may not be specified when `type` is 'Pod'"
		if len(defaults) > 0 {
			f.forbidden(p.Child("default"), notOfPods)
		}
		if len(requests) > 0 {
			f.forbidden(p.Child("defaultRequest"), notOfPods)
		}
		defaults, requests = nil, nil
	}
	check(defaults, "default")
	check(requests, "defaultRequest")
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, least := item.Min[corev1.ResourceStorage]
		_, most := item.Max[corev1.ResourceStorage]
		if !least && !most {
			f.required(p.Child("limits"), "either minimum or maximum storage value is required, but neither was provided")
		}
	}
	check(item.MaxLimitRequestRatio, "maxLimitRequestRatio")
	for _, r := range sortedKeys(all) {
		l := limits{name: r, p: p}
		l.min, l.max, l.standard, l.request, l.ratio = at(item.Min, r), at(item.Max, r), at(defaults, r), at(requests, r), at(item.MaxLimitRequestRatio, r)
		f.limitOrder(l)
		f.limitRatio(l)
	}
}

func (f *findings) limitedResource(t corev1.LimitType, r corev1.ResourceName, p *field.Path) {
	if t == corev1.LimitTypePod || t == corev1.LimitTypeContainer {
		f.containerResourceName(p, r)
		return
	}
	f.resourceName(p, r)
}

func sortedKeys(set map[corev1.ResourceName]bool) []corev1.ResourceName {
	var out []corev1.ResourceName
	for r := range set {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

func at(list corev1.ResourceList, r corev1.ResourceName) *resource.Quantity {
	q, ok := list[r]
	if !ok {
		return nil
	}
	return &q
}

// limits is all that an item says about one resource; nil is nothing.
type limits struct {
	name                               corev1.ResourceName
	p                                  *field.Path
	min, max, standard, request, ratio *resource.Quantity
}

func (l limits) at(child string) *field.Path { return l.p.Child(child).Key(string(l.name)) }

// exceeds says whether both are given and a is more than b.
func exceeds(a, b *resource.Quantity) bool { return a != nil && b != nil && a.Cmp(*b) > 0 }

func (f *findings) limitOrder(l limits) {
	if exceeds(l.min, l.max) {
		f.invalid(l.at("min"), *l.min, fmt.Sprintf("min value %s is greater than max value %s", l.min, l.max))
	}
	if exceeds(l.min, l.request) {
		f.invalid(l.at("defaultRequest"), *l.request, fmt.Sprintf("min value %s is greater than default request value %s", l.min, l.request))
	}
	if exceeds(l.request, l.max) {
		f.invalid(l.at("defaultRequest"), *l.request, fmt.Sprintf("default request value %s is greater than max value %s", l.request, l.max))
	}
	if exceeds(l.request, l.standard) {
		f.invalid(l.at("defaultRequest"), *l.request, fmt.Sprintf("default request value %s is greater than default limit value %s", l.request, l.standard))
	}
	if exceeds(l.min, l.standard) {
		f.invalid(l.at("default"), *l.min, fmt.Sprintf("min value %s is greater than default value %s", l.min, l.standard))
	}
	if exceeds(l.standard, l.max) {
		f.invalid(l.at("default"), *l.max, fmt.Sprintf("default value %s is greater than max value %s", l.standard, l.max))
	}
}

func (f *findings) limitRatio(l limits) {
	if l.ratio != nil {
		if l.ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
			f.invalid(l.at("maxLimitRequestRatio"), *l.ratio, fmt.Sprintf("ratio %s is less than 1", l.ratio))
		}
		if l.min != nil && l.max != nil {
			f.ratioWithin(l)
		}
	}
	if !overcommits(l.name) && l.standard != nil && l.request != nil && l.standard.Cmp(*l.request) != 0 {
		f.invalid(l.at("defaultRequest"), *l.request, fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", l.standard, l.request, l.name))
	}
}

// ratioWithin refuses a ratio that no container within the bounds can have.
func (f *findings) ratioWithin(l limits) {
	ratio, least, most := float64(l.ratio.Value()), l.min.Value(), l.max.Value()
	if l.ratio.Value() < resource.MaxMilliValue && least < resource.MaxMilliValue && most < resource.MaxMilliValue {
		ratio, least, most = float64(l.ratio.MilliValue())/1000, l.min.MilliValue(), l.max.MilliValue()
	}
	if widest := float64(most) / float64(least); ratio > widest {
		f.invalid(l.at("maxLimitRequestRatio"), *l.ratio, fmt.Sprintf("ratio %s is greater than max/min = %f", l.ratio, widest))
	}
}

// LimitRangeUpdate checks a change: all may change.
func LimitRangeUpdate(l, _ *corev1.LimitRange) field.ErrorList { return LimitRange(l) }
