package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/podspec"
)

// classes are the cgroups around the pods of a class; guaranteed pods have none.
var classes = map[corev1.PodQOSClass]string{corev1.PodQOSBurstable: "burstable", corev1.PodQOSBestEffort: "besteffort"}

// followShares gives the classes of pods their shares of the processors
// whenever a pod has come or gone.
func (a *Agent) followShares(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.moved:
		}
		wanted := podspec.ClassShares(a.company(nil))
		for class, name := range classes {
			path := filepath.Join(a.cfg.CgroupParent, name)
			// A class that has had no pod yet has no cgroup.
			if err := setShares(cgroupRoot, path, wanted[class]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				a.cfg.Log.Warn("setting the CPU shares of a class of pods failed", "cgroup", path, "error", err)
			}
		}
	}
}

// sharesMoved says that a pod has come or gone.
func (a *Agent) sharesMoved() {
	select {
	case a.moved <- struct{}{}:
	default:
	}
}

// setShares sets the shares of a cgroup that is there.
func setShares(root, path string, shares int64) error {
	s, controller := number("cpu.shares", shares), "cpu"
	if unified(root) {
		s, controller = number("cpu.weight", weight(shares)), ""
	}
	f, err := os.OpenFile(filepath.Join(root, controller, path, s.file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.value)
	return errors.Join(err, f.Close())
}
