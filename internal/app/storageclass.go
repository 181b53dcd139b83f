package app

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/plan/volume"
)

// ensureStorageClass creates the class of claims that name none, served by the
// local provisioner. One that is there, changed or not, is left alone.
func ensureStorageClass(ctx context.Context, p apiserver.Parts) error {
	classes := p.Client.StorageV1().StorageClasses()
	if _, err := classes.Get(ctx, "local", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	_, err := classes.Create(ctx, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "local",
			Annotations: map[string]string{volume.DefaultClassAnnotation: "true"},
		},
		Provisioner:       volume.LocalProvisioner,
		ReclaimPolicy:     ptr.To(corev1.PersistentVolumeReclaimDelete),
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
