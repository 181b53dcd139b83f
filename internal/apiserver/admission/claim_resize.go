package admission

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/component-helpers/storage/volume"
)

// claimResize lets only bound claims grow, of classes that allow it.
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
	if a.GetResource().GroupResource() != corev1.Resource("persistentvolumeclaims") || a.GetSubresource() != "" {
		return nil
	}
	claim, ok := a.GetObject().(*corev1.PersistentVolumeClaim)
	old, was := a.GetOldObject().(*corev1.PersistentVolumeClaim)
	if !ok || !was || claim.Spec.Resources.Requests.Storage().Cmp(*old.Spec.Resources.Requests.Storage()) <= 0 {
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
	return err == nil && class.AllowVolumeExpansion != nil && *class.AllowVolumeExpansion
}
