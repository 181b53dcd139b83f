package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/api/quantity"
)

const emptyDirPlugin = "empty-dir"

// emptyDir makes an empty directory that every user may write to, on the
// node's disk, in memory or on huge pages.
func (v *Volumes) emptyDir(pod *corev1.Pod, vol corev1.Volume) (string, error) {
	path := v.path(pod.UID, emptyDirPlugin, vol.Name)
	marker := v.marker(pod.UID, emptyDirPlugin, vol.Name)
	if isMarked(marker) {
		if _, err := os.Stat(path); err == nil && (vol.EmptyDir.Medium == corev1.StorageMediumDefault || isMountPoint(path)) {
			return path, nil
		}
	}
	if err := makeDir(path, 0o777); err != nil {
		return "", err
	}
	if err := v.mountMedium(pod, vol, path); err != nil {
		return "", err
	}
	if err := setGroup(path, fsGroup(pod), nil, true); err != nil {
		return "", err
	}
	return path, mark(marker)
}

func (v *Volumes) mountMedium(pod *corev1.Pod, vol corev1.Volume, path string) error {
	medium := vol.EmptyDir.Medium
	if medium == corev1.StorageMediumDefault || isMountPoint(path) {
		return nil
	}
	if medium == corev1.StorageMediumMemory {
		return mountTmpfs(path, v.memorySize(pod, vol.EmptyDir.SizeLimit))
	}
	page, ok := strings.CutPrefix(string(medium), string(corev1.StorageMediumHugePagesPrefix))
	if !ok && medium != corev1.StorageMediumHugePages {
		return fmt.Errorf("unknown storage medium %q", medium)
	}
	if medium == corev1.StorageMediumHugePages {
		var err error
		if page, err = onlyPageSize(pod); err != nil {
			return err
		}
	}
	if quantity.Endless(page) {
		return fmt.Errorf("storage medium %q: no such page size", medium)
	}
	size, err := resource.ParseQuantity(page)
	if err != nil {
		return fmt.Errorf("storage medium %q: %w", medium, err)
	}
	return mountHugePages(path, size.Value())
}

// onlyPageSize is the page size that the pod asks for; medium HugePages is
// only clear when there is one.
func onlyPageSize(pod *corev1.Pod) (string, error) {
	var found string
	for _, c := range append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
		for name := range c.Resources.Requests {
			size, ok := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
			if !ok {
				continue
			}
			if found != "" && found != size {
				return "", fmt.Errorf("medium HugePages can only be used with one size of huge pages, the pod asks for %s and %s", found, size)
			}
			found = size
		}
	}
	if found == "" {
		return "", fmt.Errorf("medium HugePages: the pod requests no huge pages")
	}
	return found, nil
}

// memorySize bounds a volume in memory: by its own limit, the pod's memory
// limit and what the node has to give.
func (v *Volumes) memorySize(pod *corev1.Pod, limit *resource.Quantity) int64 {
	var size int64
	lower := func(bytes int64) {
		if bytes > 0 && (size == 0 || bytes < size) {
			size = bytes
		}
	}
	if node := v.cfg.Node(); node != nil {
		lower(node.Status.Allocatable.Memory().Value())
	}
	lower(podMemoryLimit(pod))
	if limit != nil {
		lower(limit.Value())
	}
	return size
}

// podMemoryLimit is zero when a container has no limit.
func podMemoryLimit(pod *corev1.Pod) int64 {
	var sum int64
	for _, c := range pod.Spec.Containers {
		limit := c.Resources.Limits.Memory().Value()
		if limit == 0 {
			return 0
		}
		sum += limit
	}
	for _, c := range pod.Spec.InitContainers {
		limit := c.Resources.Limits.Memory().Value()
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			if limit == 0 {
				return 0
			}
			sum += limit
		}
	}
	return sum
}

// makeDir makes a directory with exactly this mode, whatever the umask.
func makeDir(path string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil && !os.IsExist(err) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	if info.Mode().Perm() != mode.Perm() {
		return os.Chmod(path, mode)
	}
	return nil
}
