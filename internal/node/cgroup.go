package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"berth.dev/berth/internal/plan/podspec"
	corev1 "k8s.io/api/core/v1"
)

// cgroupRoot is where the kernel's cgroup hierarchies are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// cgroup is the cgroup of one pod, by its quality of service as upstream's.
func (a *Agent) cgroup(pod *corev1.Pod) string {
	name := "pod" + string(pod.UID)
	switch podspec.QOS(pod) {
	case corev1.PodQOSGuaranteed:
		return filepath.Join(a.cfg.CgroupParent, name)
	case corev1.PodQOSBurstable:
		return filepath.Join(a.cfg.CgroupParent, "burstable", name)
	default:
		return filepath.Join(a.cfg.CgroupParent, "besteffort", name)
	}
}

// unified is true on a machine with cgroup v2 only.
func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// makeCgroup makes the cgroup around a pod's containers and sets its limits.
// The runtime makes what is missing in other hierarchies.
func makeCgroup(path string, r podspec.Resources) error {
	if unified() {
		return nil // the runtime makes it and hands controllers down; pod limits come with in-place resize
	}
	set := map[string][]setting{
		"cpu":    {{"cpu.shares", r.CPUShares, true}, {"cpu.cfs_period_us", r.CPUPeriod, r.CPUQuota > 0}, {"cpu.cfs_quota_us", r.CPUQuota, r.CPUQuota > 0}},
		"memory": {{"memory.limit_in_bytes", r.Memory, r.Memory > 0}},
	}
	for controller, settings := range set {
		root := filepath.Join(cgroupRoot, controller)
		if _, err := os.Stat(root); err != nil {
			continue
		}
		dir := filepath.Join(root, path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making the pod's cgroup: %w", err)
		}
		for _, s := range settings {
			if !s.wanted {
				continue
			}
			file := filepath.Join(dir, s.file)
			if err := os.WriteFile(file, []byte(strconv.FormatInt(s.value, 10)), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("setting a limit of the pod's cgroup: %w", err)
			}
		}
	}
	return nil
}

type setting struct {
	file   string
	value  int64
	wanted bool
}

// removeCgroup removes the pod's cgroup from every hierarchy.
func removeCgroup(path string) {
	roots := []string{cgroupRoot}
	if entries, err := os.ReadDir(cgroupRoot); err == nil && !unified() {
		roots = nil
		for _, e := range entries {
			roots = append(roots, filepath.Join(cgroupRoot, e.Name()))
		}
	}
	for _, root := range roots {
		dir := filepath.Join(root, path)
		children, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, c := range children {
			if c.IsDir() {
				_ = os.Remove(filepath.Join(dir, c.Name()))
			}
		}
		_ = os.Remove(dir)
	}
}
