package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/node/sizelimit"
	"berth.dev/berth/internal/plan/volume"
)

// begin makes sure that a provisioned volume has its folder: it makes the one
// of a volume that was never used, with make, and writes down that it was, before
// a pod may use it. One that is missing later is never made again: an empty
// folder in the place of somebody's data looks like a new volume.
func (v *Volumes) begin(ctx context.Context, pv *corev1.PersistentVolume, path string, make func() error) error {
	first := volume.LocalMayBeginEmpty(pv)
	if !first {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return &Error{Volume: pv.Name, Step: "MountVolume.NewMounter initialization failed", Err: volume.LocalLost(path)}
		} else if err != nil {
			return err
		}
		return nil
	}
	if err := make(); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := v.cfg.Begun(ctx, pv); err != nil {
		return fmt.Errorf("write down that volume %s is in use: %w", pv.Name, err)
	}
	return nil
}

// syncDir makes what was made in a directory outlive a loss of power: what is
// written down in the API must not be ahead of the disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// makeVolumeDir makes a volume that any user of a container may write to. It
// is not touched when it is there: its mode may be the user's own choice.
func makeVolumeDir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	// Under another name first: killed between mkdir and chmod, the volume
	// would stay closed to its users.
	tmp := filepath.Join(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+".new")
	if err := sizelimit.Mkdir(tmp); err != nil && !os.IsExist(err) {
		return err
	}
	if err := makeDir(tmp, 0o777); err != nil {
		return err
	}
	err := os.Rename(tmp, path)
	if info, statErr := os.Stat(path); err != nil && statErr == nil && info.IsDir() {
		return os.Remove(tmp) // another pod was faster
	}
	return err
}
