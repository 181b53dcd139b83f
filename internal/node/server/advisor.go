package server

import (
	"cmp"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node/disk"
	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/usage"
)

// cgroupRoot is where the kernel's cgroup hierarchies are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// advisor is /metrics/cadvisor.
func (s *Server) advisor(w http.ResponseWriter, r *http.Request) {
	sample, ids, stats, err := s.sampleAll(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out := &usage.Advised{Node: sample.Node, Interfaces: interfaces(procRoot), Cores: runtime.NumCPU(), Memory: totalMemory(procRoot)}
	layers := s.cfg.Disks.layers()
	folders := map[string]disk.Folder{}
	for _, pod := range s.cfg.Pods.Pods() {
		in := s.inside(pod)
		whose := usage.Container{Namespace: pod.Namespace, Pod: pod.Name}
		before := len(out.Containers)
		for name, counted := range sample.Containers {
			if name.Namespace != pod.Namespace || name.Pod != pod.Name {
				continue
			}
			id := ids[name]
			c := usage.AdvisedContainer{Origin: usage.Origin{Container: name, ID: id, Cgroup: below(in.Cgroup, id)}, Counters: counted}
			c.Used, c.Resident = memoryOf(stats[id])
			if st, spec := statusOf(pod, name.Name), specOf(pod, name.Name); spec != nil {
				limits := podspec.ContainerResources(spec)
				c.Spec = usage.Spec{Shares: limits.CPUShares, Period: limits.CPUPeriod, Quota: max(limits.CPUQuota, 0), Memory: limits.Memory}
				if st != nil {
					c.Image = st.Image
				}
			}
			if c.Spec.Quota > 0 {
				c.Throttled = throttled(cgroupRoot, c.Cgroup)
			}
			if layer := layers[id]; layer != "" {
				folders[id] = disk.Folder{Path: layer, Count: true}
			}
			out.Containers = append(out.Containers, c)
		}
		if len(in.Interfaces) > 0 && len(out.Containers) > before {
			out.Pods = append(out.Pods, usage.AdvisedPod{
				Origin:     usage.Origin{Container: whose, ID: in.Sandbox, Cgroup: below(in.Cgroup, in.Sandbox)},
				Interfaces: in.Interfaces,
			})
		}
	}
	s.measureLayers(r, out, folders)
	slices.SortFunc(out.Containers, func(a, b usage.AdvisedContainer) int { return compare(a.Container, b.Container) })
	slices.SortFunc(out.Pods, func(a, b usage.AdvisedPod) int { return compare(a.Container, b.Container) })
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := w.Write(out.Text()); err != nil {
		s.cfg.Log.Debug("metrics: the client went away", "error", err)
	}
}

func compare(a, b usage.Container) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Pod, b.Pod), strings.Compare(a.Name, b.Name))
}

// measureLayers adds what containers have written.
func (s *Server) measureLayers(r *http.Request, out *usage.Advised, folders map[string]disk.Folder) {
	if len(folders) == 0 {
		return
	}
	var all []disk.Folder
	for _, f := range folders {
		all = append(all, f)
	}
	measured := s.cfg.Disks.Meter.Measure(r.Context(), all)
	for i := range out.Containers {
		c := &out.Containers[i]
		if use, ok := measured[folders[c.ID]]; ok {
			c.Files = &usage.Files{Used: uint64(use.Taken.Bytes), Capacity: uint64(use.Capacity), Inodes: uint64(use.Inodes), InodesFree: uint64(use.InodesFree)}
		}
	}
}

// layers are the folders of containers' own files, by the containers' ids.
func (d *Disks) layers() map[string]string {
	if d == nil {
		return nil
	}
	layers, _ := disk.Layers("/proc/self/mountinfo", d.State) // without, there are no figures of them
	return layers
}

func below(cgroup, id string) string {
	if cgroup == "" || id == "" {
		return ""
	}
	return filepath.Join("/", cgroup, id)
}

func memoryOf(c *runtimeapi.ContainerStats) (used, resident int64) {
	return int64(c.GetMemory().GetUsageBytes().GetValue()), int64(c.GetMemory().GetRssBytes().GetValue())
}

func specOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// throttled reads how often a cgroup, of either version, had to wait for processors.
func throttled(root, cgroup string) *usage.Throttled {
	if cgroup == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(root, "cpu", cgroup, "cpu.stat"))
	if err != nil {
		text, err = os.ReadFile(filepath.Join(root, cgroup, "cpu.stat"))
	}
	if err != nil {
		return nil
	}
	out := &usage.Throttled{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "nr_periods":
			out.Periods = n
		case "nr_throttled":
			out.Throttled = n
		case "throttled_time":
			out.Time = time.Duration(n)
		case "throttled_usec":
			out.Time = time.Duration(n) * time.Microsecond
		}
	}
	return out
}
