package quota

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/component-helpers/storage/volume"
)

// claims are charged for themselves and the storage they ask for, once in all
// and once to their class.
type claims struct{}

// byClass follows a storage class's name in the name of what it limits.
const byClass = ".storageclass.storage.k8s.io/"

func (claims) scoped() bool { return true }

func (claims) handles(a attributes) bool {
	switch a.GetSubresource() {
	case "":
		return a.GetOperation() == admission.Create || a.GetOperation() == admission.Update
	case "status":
		claim, ok := a.GetObject().(*corev1.PersistentVolumeClaim)
		old, was := a.GetOldObject().(*corev1.PersistentVolumeClaim)
		return ok && was && ClaimChanged(claim, old)
	}
	return false
}

// ClaimChanged says whether the status of a claim changes its charge.
func ClaimChanged(claim, old *corev1.PersistentVolumeClaim) bool {
	return claim.Status.AllocatedResources.Storage().Cmp(*old.Status.AllocatedResources.Storage()) != 0 ||
		!slices.Equal(attributeClasses(claim), attributeClasses(old))
}

func (claims) constraints([]corev1.ResourceName, runtime.Object) error { return nil }

func (claims) tracked(name corev1.ResourceName) bool {
	if name == count("persistentvolumeclaims") {
		return true
	}
	for _, r := range []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage} {
		if name == r || strings.HasSuffix(string(name), byClass+string(r)) {
			return true
		}
	}
	return false
}

func (claims) inScope(s corev1.ScopedResourceSelectorRequirement, obj runtime.Object) (bool, error) {
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	if !ok {
		return false, unexpected("persistent volume claim", obj)
	}
	if s.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass {
		return false, nil
	}
	return selects(s, attributeClasses(claim)...)
}

// attributeClasses are the volume attributes classes that a claim has, wants
// or is changing to.
func attributeClasses(claim *corev1.PersistentVolumeClaim) []string {
	var out []string
	for _, name := range []*string{claim.Spec.VolumeAttributesClassName, claim.Status.CurrentVolumeAttributesClassName} {
		if name != nil && *name != "" {
			out = append(out, *name)
		}
	}
	if m := claim.Status.ModifyVolumeStatus; m != nil && m.TargetVolumeAttributesClassName != "" {
		out = append(out, m.TargetVolumeAttributesClassName)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (claims) usage(obj runtime.Object) (corev1.ResourceList, error) {
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	if !ok {
		return nil, unexpected("persistent volume claim", obj)
	}
	out := corev1.ResourceList{count("persistentvolumeclaims"): one(), corev1.ResourcePersistentVolumeClaims: one()}
	storage := storageOf(claim)
	if storage != nil {
		out[corev1.ResourceRequestsStorage] = *storage
	}
	if class := volume.GetPersistentVolumeClaimClass(claim); class != "" {
		out[corev1.ResourceName(class+byClass)+corev1.ResourcePersistentVolumeClaims] = one()
		if storage != nil {
			out[corev1.ResourceName(class+byClass)+corev1.ResourceRequestsStorage] = *storage
		}
	}
	return out, nil
}

// storageOf is what a claim asks for, or what it has got if that is more, in
// whole bytes.
func storageOf(claim *corev1.PersistentVolumeClaim) *resource.Quantity {
	wanted, ok := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		return nil
	}
	if got, ok := claim.Status.AllocatedResources[corev1.ResourceStorage]; ok && got.Cmp(wanted) > 0 {
		wanted = got
	}
	wanted = wanted.DeepCopy()
	wanted.RoundUp(0)
	return &wanted
}
