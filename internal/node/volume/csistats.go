package volume

import (
	"context"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/node/disk"
)

// DriverStats asks the driver of the volume that a pod has at target how full it
// is. Nothing waits for that but who asked: a driver that hangs holds up no pod.
func (v *Volumes) DriverStats(ctx context.Context, target string) (disk.Space, error) {
	u, err := readUse(v.noteOf(target))
	if err != nil {
		return disk.Space{}, err
	}
	driver, err := v.cfg.Drivers.Driver(u.Driver)
	if err != nil {
		return disk.Space{}, err
	}
	return driver.Stats(ctx, u.Handle, target)
}

// noteOf is the note of the use whose volume is at target.
func (v *Volumes) noteOf(target string) string {
	if filepath.Dir(filepath.Dir(target)) == filepath.Join(v.driversDir(), "volumeDevices", "publish") {
		return filepath.Join(v.useDir(types.UID(filepath.Base(target)), filepath.Base(filepath.Dir(target))), useNote)
	}
	return filepath.Join(filepath.Dir(target), useNote)
}
