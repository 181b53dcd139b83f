package admission

import (
	"context"
	"errors"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

// claimResize lets only bound claims grow, of classes that allow it, and the
// claim templates of StatefulSets.
type claimResize struct {
	*admission.Handler
	classes storagelisters.StorageClassLister
}

func newClaimResize(o Options) *claimResize {
	classes := o.Informers.Storage().V1().StorageClasses()
	p := &claimResize{admission.NewHandler(admission.Update), classes.Lister()}
	p.SetReadyFunc(classes.Informer().HasSynced)
	return p
}

// Validate implements admission.ValidationInterface.
func (p *claimResize) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" {
		return nil
	}
	switch now := a.GetObject().(type) {
	case *corev1.PersistentVolumeClaim:
		if old, was := a.GetOldObject().(*corev1.PersistentVolumeClaim); was {
			return p.claim(a, now, old)
		}
	case *appsv1.StatefulSet:
		if old, was := a.GetOldObject().(*appsv1.StatefulSet); was {
			return p.templates(a, now, old)
		}
	}
	return nil
}

func (p *claimResize) claim(a admission.Attributes, claim, old *corev1.PersistentVolumeClaim) error {
	if claim.Spec.Resources.Requests.Storage().Cmp(*old.Spec.Resources.Requests.Storage()) <= 0 {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errNotReady)
	}
	if old.Status.Phase != corev1.ClaimBound {
		return admission.NewForbidden(a, errors.New("Only bound persistent volume claims can be expanded")) //nolint:staticcheck // upstream's words
	}
	if !p.growable(claim, old) {
		return admission.NewForbidden(a, errors.New("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"))
	}
	return nil
}

func (p *claimResize) growable(claim, old *corev1.PersistentVolumeClaim) bool {
	name := volume.GetPersistentVolumeClaimClass(claim)
	if name == "" || name != volume.GetPersistentVolumeClaimClass(old) {
		return false
	}
	class, err := p.classes.Get(name)
	return err == nil && ptr.Deref(class.AllowVolumeExpansion, false)
}

// templates refuses a set's claims to grow where they cannot, before any does.
func (p *claimResize) templates(a admission.Attributes, set, old *appsv1.StatefulSet) error {
	for i := range set.Spec.VolumeClaimTemplates {
		t := &set.Spec.VolumeClaimTemplates[i]
		j := slices.IndexFunc(old.Spec.VolumeClaimTemplates, func(o corev1.PersistentVolumeClaim) bool { return o.Name == t.Name })
		if j < 0 || t.Spec.Resources.Requests.Storage().Cmp(*old.Spec.VolumeClaimTemplates[j].Spec.Resources.Requests.Storage()) <= 0 {
			continue
		}
		if !p.WaitForReady() {
			return admission.NewForbidden(a, errNotReady)
		}
		path := field.NewPath("spec", "volumeClaimTemplates").Index(i).Child("spec", "resources", "requests", "storage")
		class, err := p.classOf(t)
		switch {
		case err != nil:
			return admission.NewForbidden(a, err)
		case class == nil:
			return admission.NewForbidden(a, field.Forbidden(path, "claims without a storage class do not grow"))
		case !ptr.Deref(class.AllowVolumeExpansion, false):
			return admission.NewForbidden(a, field.Forbidden(path, "storage class "+strconv.Quote(class.Name)+" does not allow claims to grow (allowVolumeExpansion)"))
		}
	}
	return nil
}

// classOf is the class that claims of the template have; nil when they have none.
func (p *claimResize) classOf(t *corev1.PersistentVolumeClaim) (*storagev1.StorageClass, error) {
	if _, given := t.Annotations[corev1.BetaStorageClassAnnotation]; !given && t.Spec.StorageClassName == nil {
		all, err := p.classes.List(labels.Everything())
		return defaultClass(all), err
	}
	class, err := p.classes.Get(volume.GetPersistentVolumeClaimClass(t))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return class, err
}
