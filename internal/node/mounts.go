package node

import (
	"errors"
	"fmt"
	"slices"

	"berth.dev/berth/internal/node/image"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// imageVolumes makes the images present that the container mounts as volumes,
// by the volume's name.
func (w *worker) imageVolumes(pod *corev1.Pod, c *corev1.Container, config *runtimeapi.PodSandboxConfig) (map[string]*runtimeapi.ImageSpec, error) {
	var out map[string]*runtimeapi.ImageSpec
	tell := func(kind, reason, message string) { w.agent.event(pod, "", kind, reason, message) }
	for i := range pod.Spec.Volumes {
		vol := &pod.Spec.Volumes[i]
		mounts := func(m corev1.VolumeMount) bool { return m.Name == vol.Name }
		if vol.Image == nil || !slices.ContainsFunc(c.VolumeMounts, mounts) {
			continue
		}
		from := &corev1.Container{Name: c.Name, Image: vol.Image.Reference, ImagePullPolicy: vol.Image.PullPolicy}
		_, err := w.agent.images.Ensure(w.going, pod, from, config, tell)
		var why *image.Error
		if errors.As(err, &why) {
			return nil, &failed{reason: why.Reason, message: why.Message, image: vol.Image.Reference}
		}
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]*runtimeapi.ImageSpec{}
		}
		// By its name: containerd has no record by ID of an image that was imported.
		out[vol.Name] = &runtimeapi.ImageSpec{Image: image.FullName(vol.Image.Reference), UserSpecifiedImage: vol.Image.Reference}
	}
	return out, nil
}

// imageMount is a mount of an image's files; nobody writes to them.
func imageMount(m *corev1.VolumeMount, spec *runtimeapi.ImageSpec, subPath string) *runtimeapi.Mount {
	return &runtimeapi.Mount{ContainerPath: absolute(m.MountPath), Image: spec, ImageSubPath: subPath, Readonly: true}
}

// devices are the container's block devices.
func (w *worker) devices(pod *corev1.Pod, c *corev1.Container) ([]*runtimeapi.Device, error) {
	var out []*runtimeapi.Device
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range c.VolumeDevices {
		path, ok := w.paths[d.Name]
		if !ok {
			return nil, fmt.Errorf("cannot find volume %q to pass into container %q", d.Name, c.Name)
		}
		permissions := "mrw"
		if onlyRead(pod, d.Name) {
			permissions = "r"
		}
		out = append(out, &runtimeapi.Device{ContainerPath: d.DevicePath, HostPath: path, Permissions: permissions})
	}
	return out, nil
}

// recursiveReadOnly says whether also what is mounted below a mount is read-only.
func (a *Agent) recursiveReadOnly(m *corev1.VolumeMount) (bool, error) {
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return false, nil
	}
	switch mode := *m.RecursiveReadOnly; {
	case !m.ReadOnly:
		return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not read-only", m.Name)
	case m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone:
		return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not compatible with propagation %q", m.Name, *m.MountPropagation)
	case mode == corev1.RecursiveReadOnlyIfPossible:
		return a.canRecursiveReadOnly(), nil
	case mode != corev1.RecursiveReadOnlyEnabled:
		return false, fmt.Errorf("unknown recursive read-only mode %q", mode)
	case !a.canRecursiveReadOnly():
		return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not supported by the runtime", m.Name)
	}
	return true, nil
}

// canRecursiveReadOnly is what the runtime said of its default handler.
func (a *Agent) canRecursiveReadOnly() bool {
	return a.hasFeature("", func(f *corev1.NodeRuntimeHandlerFeatures) *bool { return f.RecursiveReadOnlyMounts })
}
