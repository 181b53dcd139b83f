package evict

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/disk"
	"berth.dev/berth/internal/node/volume"
	"berth.dev/berth/internal/plan/evict"
)

// what may be measured of pods.
type what struct{ memory, disk bool }

// measure looks at what pods use.
func (e *Evictor) measure(ctx context.Context, pods []*corev1.Pod, w what) ([]evict.Pod, error) {
	byUID := map[types.UID]*evict.Pod{}
	out := make([]evict.Pod, len(pods))
	for i, pod := range pods {
		out[i] = evict.Pod{Pod: pod, Volumes: map[string]int64{}}
		byUID[pod.UID] = &out[i]
	}
	listed, err := e.cfg.Runtime.ListContainerStats(ctx, &runtimeapi.ListContainerStatsRequest{})
	if err != nil {
		return nil, fmt.Errorf("ask the container runtime for what containers use: %w", err)
	}
	var upper map[string]string
	if w.disk {
		if upper, err = disk.Layers("/proc/self/mountinfo", e.cfg.State); err != nil {
			return nil, err
		}
	}
	for _, s := range listed.Stats {
		labels := s.GetAttributes().GetLabels()
		p := byUID[types.UID(labels[cri.LabelPodUID])]
		name := labels[cri.LabelContainerName]
		if p == nil || name == "" {
			continue
		}
		used := evict.Container{Name: name, Memory: int64(s.GetMemory().GetWorkingSetBytes().GetValue())}
		p.Known = true
		p.Memory += used.Memory
		if w.disk {
			var layer disk.Taken
			if dir := upper[s.Attributes.Id]; dir != "" {
				layer = disk.Du(ctx, dir)
			}
			layer.Add(disk.Du(ctx, filepath.Join(e.cfg.Dir.LogsOf(p.Namespace, p.Name, string(p.UID)), name)))
			used.Disk = layer.Bytes
			p.Disk += layer.Bytes
			p.Inodes += layer.Inodes
		}
		p.Containers = append(p.Containers, used)
	}
	if w.disk {
		for i := range out {
			e.volumes(ctx, &out[i])
		}
	}
	return out, ctx.Err()
}

// volumes counts what the pod has put into volumes of its own.
func (e *Evictor) volumes(ctx context.Context, p *evict.Pod) {
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.EmptyDir == nil {
			continue
		}
		path := volume.EmptyDir(e.cfg.Dir.Kubelet(), p.UID, v.Name)
		if v.EmptyDir.Medium != corev1.StorageMediumDefault {
			if space, err := disk.SpaceOf(path); err == nil {
				p.Volumes[v.Name] = space.Used
			}
			continue
		}
		used := disk.Du(ctx, path)
		p.Volumes[v.Name] = used.Bytes
		p.Disk += used.Bytes
		p.Inodes += used.Inodes
	}
}
