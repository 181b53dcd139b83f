package localvolume

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/node/sizelimit"
	"berth.dev/berth/internal/plan/volume"
)

// Begun returns what writes down that a volume has its folder: from then on it
// has data, and is never begun again.
func Begun(client kubernetes.Interface) func(context.Context, *corev1.PersistentVolume) error {
	return func(ctx context.Context, pv *corev1.PersistentVolume) error {
		return done(ctx, client, pv, volume.LocalBegin)
	}
}

// done takes away what asked the node for something that is done now. A folder is
// held to the size that its volume has by then, or it is said why not.
func done(ctx context.Context, client kubernetes.Interface, pv *corev1.PersistentVolume, annotation string) error {
	annotations := map[string]any{annotation: nil}
	if pv.Spec.Local != nil && !isBlock(pv) {
		annotations[volume.LocalSizeLimit] = hold(pv)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pv.UID, "annotations": annotations}})
	if err != nil {
		return fmt.Errorf("volume %s: %w", pv.Name, err)
	}
	_, err = client.CoreV1().PersistentVolumes().Patch(ctx, pv.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// hold holds the folder of a volume to its size, and says whether that is done. A
// folder that cannot be held is of use all the same.
func hold(pv *corev1.PersistentVolume) string {
	size := pv.Spec.Capacity[corev1.ResourceStorage]
	if err := sizelimit.Set(pv.Spec.Local.Path, size.Value()); err != nil {
		return "not held: " + err.Error()
	}
	return volume.LocalHeld
}

func isBlock(pv *corev1.PersistentVolume) bool {
	return pv.Spec.VolumeMode != nil && *pv.Spec.VolumeMode == corev1.PersistentVolumeBlock
}
