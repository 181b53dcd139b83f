package localvolume

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/volume"
)

// removeShared removes the directory of a deleted volume from its server, beside
// everything else: the server may be away.
func (r *janitor) removeShared(ctx context.Context, pv *corev1.PersistentVolume) {
	r.copies.begin(ctx, pv.Name, func(ctx context.Context) error {
		err := r.Share(ctx, pv, func(root, name string) error { return remove(filepath.Join(root, name)) })
		if err == nil {
			err = r.letGo(ctx, pv, volume.NFSFinalizer)
		}
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("remove the directory of volume %s from its server: %w", pv.Name, err)
			r.Log.Warn("NFS volume not removed, trying again", "volume", pv.Name, "error", err)
			if r.Event != nil {
				r.Event(pv, corev1.EventTypeWarning, "VolumeFailedDelete", err.Error())
			}
		}
		return err
	})
}
