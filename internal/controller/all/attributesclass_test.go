package all_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/attributesclass"
	"berth.dev/berth/internal/sim"
)

// A class that a claim names stays until the claim is gone.
func TestAttributesClassInUseStays(t *testing.T) {
	s := cluster(t, 1, sim.Faults{})
	class := &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, DriverName: "example.com", Parameters: map[string]string{"iops": "1"}}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: ptr.To("none"), VolumeAttributesClassName: ptr.To("fast"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	s.Create(class, claim)
	must(t, s.Settle(20000))
	get := func() (*storagev1.VolumeAttributesClass, error) {
		c := &storagev1.VolumeAttributesClass{}
		return c, s.API().Get(t.Context(), client.ObjectKey{Name: "fast"}, c)
	}
	if c, err := get(); err != nil || len(c.Finalizers) != 1 || c.Finalizers[0] != attributesclass.Finalizer {
		t.Fatalf("the class has finalizers %v, %v", c.Finalizers, err)
	}
	must(t, s.API().Delete(t.Context(), class))
	must(t, s.Settle(20000))
	if c, err := get(); err != nil || c.DeletionTimestamp == nil {
		t.Fatalf("a class in use: %v, %v", c, err)
	}
	must(t, s.API().Delete(t.Context(), claim))
	must(t, s.Settle(20000))
	if _, err := get(); !apierrors.IsNotFound(err) {
		t.Errorf("a class that nothing uses: %v", err)
	}
}
