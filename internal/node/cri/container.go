package cri

import (
	"fmt"
	"path/filepath"
	"strconv"

	"berth.dev/berth/internal/plan/podspec"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ContainerOptions are what a container request needs beside the pod.
type ContainerOptions struct {
	Attempt  int32
	ImageRef string
	Image    ImageUser
	Env      []podspec.Variable
	Mounts   []*runtimeapi.Mount
	Devices  []*runtimeapi.Device
	OOMScore int64
	// PageSizes are the sizes of huge pages that the node has.
	PageSizes []int64
	// SeccompDir holds the profiles that a pod may name.
	SeccompDir string
	// Users are the pod's own, nil for the node's.
	Users *runtimeapi.UserNamespace
	// Target is the container whose processes an ephemeral container shares.
	Target string
}

// ContainerConfig is the request for one container.
func ContainerConfig(pod *corev1.Pod, c *corev1.Container, o ContainerOptions) (*runtimeapi.ContainerConfig, error) {
	if err := VerifyNonRoot(pod, c, o.Image); err != nil {
		return nil, err
	}
	context, err := security(pod, c, o.SeccompDir)
	if err != nil {
		return nil, err
	}
	if o.Users != nil {
		// What is mounted belongs inside to whom it belongs outside.
		context.NamespaceOptions.UsernsOptions = o.Users
		for _, m := range o.Mounts {
			m.UidMappings, m.GidMappings = o.Users.Uids, o.Users.Gids
		}
	}
	if o.Target != "" {
		context.NamespaceOptions.Pid = runtimeapi.NamespaceMode_TARGET
		context.NamespaceOptions.TargetId = o.Target
	}
	if o.Image.UID != nil && context.RunAsUser == nil && context.RunAsGroup != nil {
		context.RunAsUser = &runtimeapi.Int64Value{Value: *o.Image.UID}
	} else if context.RunAsUser == nil && context.RunAsGroup != nil {
		context.RunAsUsername = o.Image.Name
	}
	resources := linuxResources(podspec.ContainerResources(c))
	resources.OomScoreAdj = o.OOMScore
	for _, p := range podspec.ContainerHugePages(c, o.PageSizes) {
		resources.HugepageLimits = append(resources.HugepageLimits, &runtimeapi.HugepageLimit{PageSize: p.Size, Limit: uint64(p.Bytes)})
	}
	config := &runtimeapi.ContainerConfig{
		Metadata:    &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: uint32(o.Attempt)},
		Image:       &runtimeapi.ImageSpec{Image: o.ImageRef, UserSpecifiedImage: c.Image},
		Command:     podspec.ExpandAll(c.Command, o.Env),
		Args:        podspec.ExpandAll(c.Args, o.Env),
		WorkingDir:  c.WorkingDir,
		Labels:      containerLabels(pod, c),
		Annotations: containerAnnotations(pod, c, o.Attempt),
		Mounts:      o.Mounts,
		Devices:     o.Devices,
		LogPath:     filepath.Join(c.Name, strconv.Itoa(int(o.Attempt))+".log"),
		Stdin:       c.Stdin,
		StdinOnce:   c.StdinOnce,
		Tty:         c.TTY,
		Linux:       &runtimeapi.LinuxContainerConfig{Resources: resources, SecurityContext: context},
	}
	for _, v := range o.Env {
		config.Envs = append(config.Envs, &runtimeapi.KeyValue{Key: v.Name, Value: []byte(v.Value)})
	}
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		signal, ok := runtimeapi.Signal_value[string(*c.Lifecycle.StopSignal)]
		if !ok {
			return nil, fmt.Errorf("unsupported stop signal %q", *c.Lifecycle.StopSignal)
		}
		config.StopSignal = runtimeapi.Signal(signal)
	}
	return config, nil
}

// Propagation is how mounts made later are shared.
func Propagation(m *corev1.VolumeMount) runtimeapi.MountPropagation {
	if m.MountPropagation != nil {
		switch *m.MountPropagation {
		case corev1.MountPropagationHostToContainer:
			return runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
		case corev1.MountPropagationBidirectional:
			return runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL
		}
	}
	return runtimeapi.MountPropagation_PROPAGATION_PRIVATE
}
