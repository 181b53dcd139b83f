package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

// storageProtection keeps claims and volumes from vanishing while in use.
type storageProtection struct{ *admission.Handler }

func newStorageProtection() storageProtection {
	return storageProtection{admission.NewHandler(admission.Create)}
}

// Admit implements admission.MutationInterface.
func (storageProtection) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" {
		return nil
	}
	finalizer := ""
	switch a.GetResource().GroupResource() {
	case corev1.Resource("persistentvolumeclaims"):
		finalizer = "kubernetes.io/pvc-protection"
	case corev1.Resource("persistentvolumes"):
		finalizer = "kubernetes.io/pv-protection"
	case storagev1.SchemeGroupVersion.WithResource("volumeattributesclasses").GroupResource():
		finalizer = "kubernetes.io/vac-protection"
	default:
		return nil
	}
	obj, ok := a.GetObject().(metav1.Object)
	if ok && !slices.Contains(obj.GetFinalizers(), finalizer) {
		obj.SetFinalizers(append(obj.GetFinalizers(), finalizer))
	}
	return nil
}
