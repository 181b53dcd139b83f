package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PersistentVolumeClaim checks a new claim.
func PersistentVolumeClaim(c *corev1.PersistentVolumeClaim) field.ErrorList {
	var f findings
	f.claim(c)
	return f.list
}

func (f *findings) claim(c *corev1.PersistentVolumeClaim) {
	f.meta(&c.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	f.claimSpec(specPath, &c.Spec)
}

func (f *findings) accessModes(p *field.Path, modes []corev1.PersistentVolumeAccessMode) {
	alone, other := false, false
	for _, m := range modes {
		switch m {
		case corev1.ReadWriteOncePod:
			alone = true
		case corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany:
			other = true
		default:
			among(f, p, m, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)
		}
	}
	if alone && other {
		f.forbidden(p, "may not use ReadWriteOncePod with other access modes")
	}
}

func (f *findings) volumeMode(p *field.Path, m *corev1.PersistentVolumeMode) {
	if m != nil {
		among(f, p, *m, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
	}
}

func (f *findings) className(p *field.Path, name *string) {
	if name != nil && *name != "" {
		f.messages(p, *name, apivalidation.NameIsDNSSubdomain(*name, false))
	}
}

func (f *findings) claimSpec(p *field.Path, s *corev1.PersistentVolumeClaimSpec) {
	if len(s.AccessModes) == 0 {
		f.required(p.Child("accessModes"), "at least 1 access mode is required")
	}
	f.selector(s.Selector, p.Child("selector"))
	f.accessModes(p.Child("accessModes"), s.AccessModes)
	storage := p.Child("resources").Key(string(corev1.ResourceStorage))
	if size, ok := s.Resources.Requests[corev1.ResourceStorage]; !ok {
		f.required(storage, "")
	} else if f.positive(storage, size) {
		f.quantity(storage, corev1.ResourceStorage, size)
	}
	f.className(p.Child("storageClassName"), s.StorageClassName)
	f.volumeMode(p.Child("volumeMode"), s.VolumeMode)
	f.dataSources(p, s)
	f.className(p.Child("volumeAttributesClassName"), s.VolumeAttributesClassName)
}

func (f *findings) dataSources(p *field.Path, s *corev1.PersistentVolumeClaimSpec) {
	source, ref := s.DataSource, s.DataSourceRef
	if source != nil {
		f.dataSource(p.Child("dataSource"), source.APIGroup, source.Kind, source.Name)
	}
	if ref != nil {
		f.dataSource(p.Child("dataSourceRef"), ref.APIGroup, ref.Kind, ref.Name)
		if ref.Namespace != nil && *ref.Namespace != "" {
			f.messages(p.Child("dataSourceRef", "namespace"), *ref.Namespace, apivalidation.ValidateNamespaceName(*ref.Namespace, false))
		}
	}
	if source == nil || ref == nil {
		return
	}
	if ref.Namespace != nil && *ref.Namespace != "" {
		f.invalid(p, p.Child("dataSource"), "may not be specified when dataSourceRef.namespace is specified")
	} else if source.Kind != ref.Kind || source.Name != ref.Name || !equality.Semantic.DeepEqual(source.APIGroup, ref.APIGroup) {
		f.invalid(p, p.Child("dataSource"), "must match dataSourceRef")
	}
}

func (f *findings) dataSource(p *field.Path, group *string, kind, name string) {
	f.notEmpty(p.Child("name"), name)
	f.notEmpty(p.Child("kind"), kind)
	if group == nil || *group == "" {
		if kind != "PersistentVolumeClaim" {
			f.invalid(p, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
		}
		return
	}
	f.dnsSubdomain(p.Child("apiGroup"), *group)
}

// PersistentVolumeClaimUpdate checks a change of a claim: a bound one may grow
// and change its class of attributes, nothing else.
func PersistentVolumeClaimUpdate(c, old *corev1.PersistentVolumeClaim) field.ErrorList {
	var f findings
	f.metaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.claim(c)
	is, was := c.DeepCopy(), old.DeepCopy()
	if was.Spec.VolumeName == "" {
		was.Spec.VolumeName = is.Spec.VolumeName
	}
	f.classUpdate(is, was)
	if c.Status.Phase == corev1.ClaimBound {
		if is.Spec.Resources.Requests != nil {
			is.Spec.Resources.Requests[corev1.ResourceStorage] = old.Spec.Resources.Requests[corev1.ResourceStorage]
		}
		if is.Spec.VolumeAttributesClassName != nil {
			is.Spec.VolumeAttributesClassName = was.Spec.VolumeAttributesClassName
		}
	}
	if !equality.Semantic.DeepEqual(is.Spec, was.Spec) {
		f.forbidden(specPath, fmt.Sprintf("spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n%v",
			diff.Diff(Untagged(was.Spec), Untagged(is.Spec))))
	}
	f.sizeUpdate(c, old)
	f.immutable(field.NewPath("volumeMode"), c.Spec.VolumeMode, old.Spec.VolumeMode)
	if was := old.Spec.VolumeAttributesClassName; was != nil {
		p := specPath.Child("volumeAttributesClassName")
		switch is := c.Spec.VolumeAttributesClassName; {
		case is == nil:
			f.forbidden(p, "update from non-nil value to nil is forbidden")
		case *is == "" && *was != "":
			f.forbidden(p, "update from non-nil value to an empty string is forbidden")
		}
	}
	return f.list
}

// classUpdate lets a claim without a class get one, by annotation or field.
func (f *findings) classUpdate(is, was *corev1.PersistentVolumeClaim) {
	old, annotated := was.Annotations[corev1.BetaStorageClassAnnotation]
	name := is.Spec.StorageClassName
	if annotated && was.Spec.StorageClassName == nil && name != nil && *name == old {
		if now, ok := is.Annotations[corev1.BetaStorageClassAnnotation]; !ok || now == old {
			is.Spec.StorageClassName = nil
			return
		}
	}
	if now := is.Annotations[corev1.BetaStorageClassAnnotation]; now != old {
		f.invalid(metaPath.Child("annotations", corev1.BetaStorageClassAnnotation), now, fieldIsImmutable)
	}
	if name != nil && was.Spec.StorageClassName == nil && (!annotated || *name == old) {
		is.Spec.StorageClassName = nil
	}
}

func (f *findings) sizeUpdate(c, old *corev1.PersistentVolumeClaim) {
	size, was := c.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage]
	real := old.Status.Capacity[corev1.ResourceStorage]
	if size.Cmp(was) < 0 && size.Cmp(real) <= 0 {
		f.forbidden(specPath.Child("resources", "requests", "storage"), "field can not be less than status.capacity")
	}
}

// PersistentVolumeClaimStatusUpdate checks a change of a claim's status.
func PersistentVolumeClaimStatusUpdate(c, old *corev1.PersistentVolumeClaim) field.ErrorList {
	var f findings
	f.metaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.notEmpty(field.NewPath("resourceVersion"), c.ResourceVersion)
	if len(c.Spec.AccessModes) == 0 {
		f.required(field.NewPath("Spec", "accessModes"), "")
	}
	for name, q := range c.Status.Capacity {
		f.amount(statusPath.Child("capacity").Key(string(name)), q)
	}
	for name, q := range c.Status.AllocatedResources {
		p := statusPath.Child("allocatedResources")
		if f.claimResource(p, name) {
			f.amount(p.Key(string(name)), q)
		}
	}
	for name, s := range c.Status.AllocatedResourceStatuses {
		p := statusPath.Child("allocatedResourceStatus")
		f.claimResource(p, name)
		switch s {
		case corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
			corev1.PersistentVolumeClaimNodeResizePending, corev1.PersistentVolumeClaimNodeResizeInProgress,
			corev1.PersistentVolumeClaimNodeResizeInfeasible:
		default:
			f.add(field.NotSupported(p, name, []corev1.ClaimResourceStatus{
				corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
				corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible,
				corev1.PersistentVolumeClaimNodeResizePending,
			}))
		}
	}
	return f.list
}

func (f *findings) claimResource(p *field.Path, name corev1.ResourceName) bool {
	before := len(f.list)
	f.qualifiedName(p, string(name))
	if len(f.list) == before && nativeResource(name) && name != corev1.ResourceStorage {
		f.add(field.NotSupported(p, name, []corev1.ResourceName{corev1.ResourceStorage}))
	}
	return len(f.list) == before
}

func (f *findings) amount(p *field.Path, q resource.Quantity) {
	if q.Sign() < 0 {
		f.invalid(p, q.Value(), "must be a valid resource quantity")
	}
}
