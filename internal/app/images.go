package app

import (
	"fmt"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/node"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/image"
	"k8s.io/utils/clock"
)

// collect makes the part that knows the node's images and removes unused ones.
func (a *agent) collect(runtimeClient *cri.Client, pods func() *node.Agent) *image.Collector {
	c := image.NewCollector(image.CollectorConfig{
		Images: runtimeClient.Images, Runtime: runtimeClient.RuntimeServiceClient,
		Mounted: func() []string { return pods().MountedImages() },
		Disk:    a.disk,
		High:    a.cfg.ImageGCHigh, Low: a.cfg.ImageGCLow, MinAge: a.cfg.ImageTTL,
		Event: a.nodeEvent, Listed: a.registration.Trigger,
		Clock: clock.RealClock{}, Log: a.log.With("component", "images"),
	})
	a.collector.Store(c)
	return c
}

// images is the list for the node's status, nil before it is known.
func (a *agent) images() []corev1.ContainerImage {
	if c := a.collector.Load(); c != nil {
		return c.Images()
	}
	return nil
}

// disk is the size of the disk that images are on, and what is free of it.
func (a *agent) disk() (capacity, available int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(a.dir.Path(), &st); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", a.dir.Path(), err)
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}
