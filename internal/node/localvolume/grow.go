package localvolume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/node/loopdev"
	"berth.dev/berth/internal/plan/volume"
)

// grow makes room for what a volume's capacity is now, also while pods use it.
// A folder grows into the file system that it lies on; what it is held to is set
// when that is written down.
func (r *janitor) grow(ctx context.Context, pv *corev1.PersistentVolume, path string) error {
	err := enlarge(pv, path)
	if err != nil {
		err = fmt.Errorf("error expanding volume %q: %w", pv.Name, err)
		r.tell(pv, corev1.EventTypeWarning, "VolumeResizeFailed", err.Error())
		return err
	}
	return done(ctx, r.Client, pv, volume.LocalGrowing)
}

func enlarge(pv *corev1.PersistentVolume, path string) error {
	if isBlock(pv) {
		path = filepath.Join(path, volume.LocalBlocks)
	}
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return volume.LocalLost(path)
	}
	if filepath.Base(path) != volume.LocalBlocks {
		return nil
	}
	size := pv.Spec.Capacity[corev1.ResourceStorage]
	return loopdev.Resize(path, size.Value())
}

// tell tells the user of the volume's claim something.
func (r *janitor) tell(pv *corev1.PersistentVolume, kind, reason, message string) {
	ref := pv.Spec.ClaimRef
	if r.Event == nil || ref == nil {
		return
	}
	claim := &corev1.PersistentVolumeClaim{}
	claim.Namespace, claim.Name, claim.UID = ref.Namespace, ref.Name, ref.UID
	r.Event(claim, kind, reason, message)
}
