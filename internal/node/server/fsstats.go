package server

import (
	"context"
	"maps"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/disk"
	"berth.dev/berth/internal/node/volume"
)

// Disks is where things lie on the disks of the node.
type Disks struct {
	Meter *disk.Meter
	Dir   datadir.Dir
	// State is the folder below which the runtime mounts containers.
	State  string
	Images runtimeapi.ImageServiceClient
	// Volumes are a pod's volumes that can be measured.
	Volumes func(types.UID) map[string]volume.Files
}

type fsStats struct {
	Time       metav1.Time `json:"time"`
	Available  uint64      `json:"availableBytes"`
	Capacity   uint64      `json:"capacityBytes"`
	Used       uint64      `json:"usedBytes"`
	InodesFree uint64      `json:"inodesFree"`
	Inodes     uint64      `json:"inodes"`
	InodesUsed uint64      `json:"inodesUsed"`
}

type runtimeStats struct {
	ImageFs     *fsStats `json:"imageFs,omitempty"`
	ContainerFs *fsStats `json:"containerFs,omitempty"`
}

type volumeStats struct {
	fsStats
	Name   string       `json:"name"`
	PVCRef *pvcRef      `json:"pvcRef,omitempty"`
	files  volume.Files // that were measured
}

type pvcRef struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// of shows a figure, nil when there is none.
func of(use disk.Use, ok bool) *fsStats {
	if !ok {
		return nil
	}
	return &fsStats{
		metav1.NewTime(use.Time), uint64(use.Available), uint64(use.Capacity), uint64(use.Taken.Bytes),
		uint64(use.InodesFree), uint64(use.Inodes), uint64(use.Taken.Inodes),
	}
}

// folders are what is to be measured of one pod.
func (d *Disks) folders(p *podStats, layers map[string]string) (volumes map[string]volume.Files, rootfs, logs map[string]disk.Folder) {
	uid := p.PodRef.UID
	rootfs, logs = map[string]disk.Folder{}, map[string]disk.Folder{}
	for _, c := range p.Containers {
		if layer := layers[c.id]; layer != "" {
			rootfs[c.Name] = disk.Folder{Path: layer, Count: true}
		}
		logs[c.Name] = disk.Folder{Path: filepath.Join(d.Dir.LogsOf(p.PodRef.Namespace, p.PodRef.Name, uid), c.Name), Count: true}
	}
	return d.Volumes(types.UID(uid)), rootfs, logs
}

// fill adds what lies on disks to what is known of the node. All is measured
// side by side: what does not answer is left out.
func (d *Disks) fill(ctx context.Context, out *summary) {
	if d == nil {
		return
	}
	layers := d.layers()
	node := disk.Folder{Path: d.Dir.Path()}
	wanted := []disk.Folder{node}
	type pod struct {
		volumes      map[string]volume.Files
		rootfs, logs map[string]disk.Folder
	}
	pods := make([]pod, len(out.Pods))
	for i := range out.Pods {
		p := &pods[i]
		p.volumes, p.rootfs, p.logs = d.folders(&out.Pods[i], layers)
		wanted = append(wanted, slices.Collect(maps.Values(p.rootfs))...)
		wanted = append(wanted, slices.Collect(maps.Values(p.logs))...)
		for _, v := range p.volumes {
			wanted = append(wanted, v.Folder())
		}
	}
	measured := d.Meter.Measure(ctx, wanted)
	figure := func(f disk.Folder) *fsStats {
		use, ok := measured[f]
		return of(use, ok)
	}
	out.Node.Fs = figure(node)
	out.Node.Runtime = d.images(ctx)
	for i := range out.Pods {
		p := &out.Pods[i]
		p.Volumes = claims(p, pods[i].volumes, measured)
		for j := range p.Containers {
			c := &p.Containers[j]
			c.Rootfs, c.Logs = figure(pods[i].rootfs[c.Name]), figure(pods[i].logs[c.Name])
		}
		p.Ephemeral = ephemeral(p, out.Node.Fs)
	}
}

// claims shows the figures of a pod's volumes, in the order of their names.
func claims(p *podStats, volumes map[string]volume.Files, measured map[disk.Folder]disk.Use) []volumeStats {
	var out []volumeStats
	for _, name := range slices.Sorted(maps.Keys(volumes)) {
		v := volumes[name]
		use, ok := measured[v.Folder()]
		if !ok {
			continue
		}
		stats := volumeStats{fsStats: *of(use, ok), Name: name, files: v}
		if v.Claim != "" {
			stats.PVCRef = &pvcRef{Name: v.Claim, Namespace: p.PodRef.Namespace}
		}
		out = append(out, stats)
	}
	return out
}

// ephemeral sums what a pod has written to the node's disk: its containers'
// files and logs, and the volumes that end with it.
func ephemeral(p *podStats, node *fsStats) *fsStats {
	if node == nil {
		return nil
	}
	sum := fsStats{Time: node.Time, Available: node.Available, Capacity: node.Capacity, InodesFree: node.InodesFree, Inodes: node.Inodes}
	add := func(s *fsStats) {
		if s != nil {
			sum.Used += s.Used
			sum.InodesUsed += s.InodesUsed
		}
	}
	for _, c := range p.Containers {
		add(c.Rootfs)
		add(c.Logs)
	}
	for _, v := range p.Volumes {
		if v.files.Ephemeral {
			add(&v.fsStats)
		}
	}
	return &sum
}

// images asks the runtime what images take, and the disk what is left.
func (d *Disks) images(ctx context.Context) *runtimeStats {
	info, err := d.Images.ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{})
	if err != nil {
		return nil
	}
	one := func(list []*runtimeapi.FilesystemUsage) *fsStats {
		if len(list) == 0 {
			return nil
		}
		f := disk.Folder{Path: list[0].GetFsId().GetMountpoint()}
		use, ok := d.Meter.Measure(ctx, []disk.Folder{f})[f]
		if !ok {
			return nil
		}
		use.Taken = disk.Taken{Bytes: int64(list[0].GetUsedBytes().GetValue()), Inodes: int64(list[0].GetInodesUsed().GetValue())}
		return of(use, true)
	}
	out := &runtimeStats{ImageFs: one(info.ImageFilesystems), ContainerFs: one(info.ContainerFilesystems)}
	if out.ContainerFs == nil {
		out.ContainerFs = out.ImageFs
	}
	return out
}
