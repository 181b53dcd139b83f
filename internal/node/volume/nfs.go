package volume

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

const nfsPlugin = "nfs"

// nfs mounts a directory of a server, through the system's helper: what the
// kernel needs to be told of a server's versions and ports is its knowledge.
func (v *Volumes) nfs(ctx context.Context, pod *corev1.Pod, name string, src *corev1.NFSVolumeSource, options []string) (string, error) {
	path := v.path(pod.UID, nfsPlugin, name)
	if isMountPoint(path) {
		return path, nil
	}
	if err := makeDir(path, 0o750); err != nil {
		return "", err
	}
	options = slices.Clone(options)
	if src.ReadOnly && !slices.Contains(options, "ro") {
		options = append(options, "ro")
	}
	return path, runHelper(ctx, "nfs", src.Server+":"+src.Path, path, options)
}
