package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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

// unified is true of a root of cgroup v2 only.
func unified(root string) bool {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return err == nil
}

// makeCgroup makes the cgroup around a pod's containers and sets its limits.
// The runtime makes what is missing in other hierarchies.
func makeCgroup(path string, r podspec.Resources) error {
	if unified(cgroupRoot) {
		if err := makeUnified(cgroupRoot, path); err != nil {
			return err
		}
		return limitCgroup(path, r, true)
	}
	for controller := range legacySettings(r) {
		root := filepath.Join(cgroupRoot, controller)
		if _, err := os.Stat(root); err != nil {
			continue
		}
		if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
			return fmt.Errorf("making the pod's cgroup: %w", err)
		}
	}
	return limitCgroup(path, r, true)
}

// makeUnified makes a cgroup of version 2 and hands the controllers down to it.
func makeUnified(root, path string) error {
	if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
		return fmt.Errorf("making the pod's cgroup: %w", err)
	}
	dir := root
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return fmt.Errorf("reading the controllers of a cgroup: %w", err)
		}
		for _, controller := range strings.Fields(string(have)) {
			// One that cannot be handed down is missed by whoever needs it.
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		}
		dir = filepath.Join(dir, name)
	}
	return nil
}

// limitCgroup sets the limits of a pod's cgroup, or only those that widen it.
func limitCgroup(path string, r podspec.Resources, exact bool) error {
	set := legacySettings(r)
	if unified(cgroupRoot) {
		set = map[string][]setting{"": unifiedSettings(r)}
	}
	return limit(cgroupRoot, path, set, exact)
}

func limit(root, path string, set map[string][]setting, exact bool) error {
	for controller, settings := range set {
		dir := filepath.Join(root, controller, path)
		for _, s := range settings {
			file := filepath.Join(dir, s.file)
			if !exact && !s.widens(file) {
				continue
			}
			if err := os.WriteFile(file, []byte(s.value), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("setting a limit of the pod's cgroup: %w", err)
			}
		}
	}
	return nil
}

// setting is one file of a cgroup; number is what it stands for, -1 for no limit.
type setting struct {
	file, value string
	number      int64
}

// widens is true when the setting is more than what the file says now.
func (s setting) widens(file string) bool {
	now, err := os.ReadFile(file)
	if err != nil {
		return true
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(now)), " ")
	n, err := strconv.ParseInt(first, 10, 64)
	return s.number < 0 || err == nil && n >= 0 && s.number > n
}

func number(file string, n int64) setting { return setting{file, strconv.FormatInt(n, 10), n} }

// legacySettings are those of cgroup version 1, by controller.
func legacySettings(r podspec.Resources) map[string][]setting {
	cpu := []setting{number("cpu.shares", r.CPUShares)}
	if r.CPUQuota > 0 {
		cpu = append(cpu, number("cpu.cfs_period_us", r.CPUPeriod))
	}
	memory := r.Memory
	if memory <= 0 {
		memory = -1
	}
	return map[string][]setting{
		"cpu":    append(cpu, number("cpu.cfs_quota_us", max(r.CPUQuota, -1))),
		"memory": {number("memory.limit_in_bytes", memory)},
	}
}

// unifiedSettings are those of cgroup version 2.
func unifiedSettings(r podspec.Resources) []setting {
	quota := setting{"cpu.max", "max " + strconv.FormatInt(r.CPUPeriod, 10), -1}
	if r.CPUQuota > 0 {
		quota = setting{"cpu.max", fmt.Sprintf("%d %d", r.CPUQuota, r.CPUPeriod), r.CPUQuota}
	}
	memory := setting{"memory.max", "max", -1}
	if r.Memory > 0 {
		memory = number("memory.max", r.Memory)
	}
	return []setting{number("cpu.weight", weight(r.CPUShares)), quota, memory}
}

// weight turns shares from 2 to 262144 into weights from 1 to 10000, as runc does it.
func weight(shares int64) int64 { return 1 + (shares-2)*9999/262142 }

// removeCgroup removes the pod's cgroup from every hierarchy.
func removeCgroup(path string) {
	roots := []string{cgroupRoot}
	if entries, err := os.ReadDir(cgroupRoot); err == nil && !unified(cgroupRoot) {
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
