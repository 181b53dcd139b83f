package validation

import (
	"fmt"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a storage class may hand to its provisioner.
const (
	mostParameters    = 512
	longestParameters = 256 << 10
)

// StorageClass checks a new storage class.
func StorageClass(c *storagev1.StorageClass) field.ErrorList {
	var f findings
	f.meta(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	if f.Declared(field.NewPath("provisioner"), c.Provisioner) {
		f.messages(field.NewPath("provisioner"), c.Provisioner, validation.IsQualifiedName(strings.ToLower(c.Provisioner)))
	}
	f.parameters(field.NewPath("parameters"), c.Parameters)
	if r := c.ReclaimPolicy; r != nil {
		among(&f, field.NewPath("reclaimPolicy"), *r, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)
	}
	if m := c.VolumeBindingMode; m == nil {
		f.required(field.NewPath("volumeBindingMode"), "")
	} else {
		among(&f, field.NewPath("volumeBindingMode"), *m, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)
	}
	f.allowedTopologies(field.NewPath("allowedTopologies"), c.AllowedTopologies)
	return f.List()
}

func (f *findings) parameters(p *field.Path, parameters map[string]string) {
	if len(parameters) > mostParameters {
		f.add(field.TooLong(p, "", mostParameters))
		return
	}
	size := 0
	for key, value := range parameters {
		if key == "" {
			f.invalid(p, key, "field can not be empty.")
		}
		size += len(key) + len(value)
	}
	if size > longestParameters {
		f.add(field.TooLong(p, "", longestParameters))
	}
}

func (f *findings) allowedTopologies(p *field.Path, terms []corev1.TopologySelectorTerm) {
	for i := range terms {
		keys, p := names{}, p.Index(i).Child("matchLabelExpressions")
		for j := range terms[i].MatchLabelExpressions {
			e, p := &terms[i].MatchLabelExpressions[j], p.Index(j)
			if len(e.Values) == 0 {
				f.required(p.Child("values"), "")
			}
			values := names{}
			for k, v := range e.Values {
				if !values.use(v) {
					f.add(field.Duplicate(p.Child("values").Index(k), v))
				}
			}
			f.add(metavalidation.ValidateLabelName(e.Key, p.Child("key"))...)
			if !keys.use(e.Key) {
				f.add(field.Duplicate(p.Child("key"), e.Key))
			}
		}
		for _, earlier := range terms[:i] {
			if equality.Semantic.DeepEqual(earlier, terms[i]) {
				f.add(field.Duplicate(p, ""))
				break
			}
		}
	}
}

// StorageClassUpdate checks a change of a storage class.
func StorageClassUpdate(c, old *storagev1.StorageClass) field.ErrorList {
	var f findings
	f.metaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.Declared(field.NewPath("provisioner"), c.Provisioner)
	f.Fixed(field.NewPath("provisioner"), c.Provisioner, old.Provisioner)
	f.Fixed(field.NewPath("parameters"), c.Parameters, old.Parameters)
	f.Fixed(field.NewPath("reclaimPolicy"), c.ReclaimPolicy, old.ReclaimPolicy)
	f.Fixed(field.NewPath("volumeBindingMode"), c.VolumeBindingMode, old.VolumeBindingMode)
	return f.List()
}

// systemClasses are the priorities that the system keeps for itself.
var systemClasses = map[string]int32{
	"system-node-critical":    2_000_001_000,
	"system-cluster-critical": 2_000_000_000,
}

const (
	systemClassPrefix = "system-"
	highestPriority   = 1_000_000_000
)

// PriorityClass checks a new priority class.
func PriorityClass(c *schedulingv1.PriorityClass) field.ErrorList {
	var f findings
	f.meta(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	if strings.HasPrefix(c.Name, systemClassPrefix) {
		if wrong := systemClass(c); wrong != "" {
			f.forbidden(metaPath.Child("name"), "priority class names with '"+systemClassPrefix+
				"' prefix are reserved for system use only. error: "+wrong)
		}
	} else if c.Value > highestPriority {
		f.forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %v", highestPriority))
	}
	if p := c.PreemptionPolicy; p != nil {
		setAndAmong(&f, field.NewPath("preemptionPolicy"), *p, corev1.PreemptLowerPriority, corev1.PreemptNever)
	}
	return f.list
}

func systemClass(c *schedulingv1.PriorityClass) string {
	value, known := systemClasses[c.Name]
	switch {
	case !known:
		return fmt.Sprintf("%v is not a known system priority class", c.Name)
	case c.Value != value:
		return fmt.Sprintf("value of %v PriorityClass must be %v", c.Name, value)
	case c.GlobalDefault:
		return fmt.Sprintf("globalDefault of %v PriorityClass must be %v", c.Name, false)
	}
	return ""
}

// PriorityClassUpdate checks a change of a priority class.
func PriorityClassUpdate(c, old *schedulingv1.PriorityClass) field.ErrorList {
	var f findings
	f.metaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if c.Value != old.Value {
		f.forbidden(field.NewPath("value"), "may not be changed in an update.")
	}
	f.immutable(field.NewPath("preemptionPolicy"), c.PreemptionPolicy, old.PreemptionPolicy)
	return f.list
}

// Lease checks a new lease.
func Lease(l *coordinationv1.Lease) field.ErrorList {
	var f findings
	f.add(apivalidation.ValidateObjectMeta(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metaPath)...)
	f.lease(&l.Spec)
	return f.list
}

// LeaseUpdate checks a change of a lease.
func LeaseUpdate(l, old *coordinationv1.Lease) field.ErrorList {
	var f findings
	f.add(apivalidation.ValidateObjectMetaUpdate(&l.ObjectMeta, &old.ObjectMeta, metaPath)...)
	f.lease(&l.Spec)
	return f.list
}

func (f *findings) lease(s *coordinationv1.LeaseSpec) {
	if d := s.LeaseDurationSeconds; d != nil && *d <= 0 {
		f.invalid(specPath.Child("leaseDurationSeconds"), d, "must be greater than 0")
	}
	if t := s.LeaseTransitions; t != nil && *t < 0 {
		f.invalid(specPath.Child("leaseTransitions"), t, mustNotBeNegative)
	}
	if v := s.Strategy; v != nil {
		if p := specPath.Child("strategy", "strategy"); strings.Contains(string(*v), "/") {
			f.messages(p, *v, validation.IsQualifiedName(string(*v)))
		} else {
			among(f, p, *v, coordinationv1.OldestEmulationVersion)
		}
	}
	if h := s.PreferredHolder; h != nil && *h != "" && (s.Strategy == nil || *s.Strategy == "") {
		f.forbidden(specPath.Child("preferredHolder"), "may only be specified if `strategy` is defined")
	}
}
