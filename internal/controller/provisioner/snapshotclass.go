package provisioner

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// EnsureSnapshotClass creates a class for snapshots of the volumes of the default
// storage class, unless there is one of that name. It is the default, unless the
// user chose one: of two, none would be taken.
func EnsureSnapshotClass(ctx context.Context, client dynamic.Interface) error {
	classes := client.Resource(snapshotv1.Classes)
	all, err := classes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list volume snapshot classes: %w", err)
	}
	chosen := false
	for i := range all.Items {
		class := &snapshotv1.VolumeSnapshotClass{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(all.Items[i].Object, class); err != nil {
			return fmt.Errorf("read volume snapshot class %s: %w", all.Items[i].GetName(), err)
		}
		if class.Name == ClassName {
			return nil
		}
		chosen = chosen || volumesnapshot.IsDefault(class, volume.LocalProvisioner)
	}
	class := &snapshotv1.VolumeSnapshotClass{
		TypeMeta:       metav1.TypeMeta{APIVersion: snapshotv1.SchemeGroupVersion.String(), Kind: "VolumeSnapshotClass"},
		ObjectMeta:     metav1.ObjectMeta{Name: ClassName},
		Driver:         volume.LocalProvisioner,
		DeletionPolicy: snapshotv1.Delete,
	}
	if !chosen {
		class.Annotations = map[string]string{volumesnapshot.DefaultClass: "true"}
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(class)
	if err != nil {
		return err
	}
	_, err = classes.Create(ctx, &unstructured.Unstructured{Object: fields}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create volume snapshot class %s: %w", ClassName, err)
	}
	return nil
}
