package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/plan/usage"
)

// Labels by which the runtime's containers say whose they are.
const (
	podNameLabel       = "io.kubernetes.pod.name"
	podNamespaceLabel  = "io.kubernetes.pod.namespace"
	containerNameLabel = "io.kubernetes.container.name"
)

// sample counts what the node and its containers have used.
func (s *Server) sample(ctx context.Context) (*usage.Sample, map[usage.Container]string, error) {
	out, ids, _, err := s.sampleAll(ctx)
	return out, ids, err
}

// sampleAll counts what the node and its containers have used. Nothing is counted
// when nobody asks: the kernel does it. The ids are the containers' by name, the
// stats what the runtime said by id.
func (s *Server) sampleAll(ctx context.Context) (out *usage.Sample, ids map[usage.Container]string, stats map[string]*runtimeapi.ContainerStats, err error) {
	out, ids, stats = &usage.Sample{Containers: map[usage.Container]usage.Counters{}}, map[usage.Container]string{}, map[string]*runtimeapi.ContainerStats{}
	if out.Node, err = machine(procRoot, s.cfg.Clock.Now()); err != nil {
		return nil, nil, nil, err
	}
	listed, err := s.cfg.Runtime.ListContainerStats(ctx, &runtimeapi.ListContainerStatsRequest{})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("ask the container runtime for what containers use: %w", err)
	}
	started := s.started()
	for _, c := range listed.Stats {
		labels := c.GetAttributes().GetLabels()
		name := usage.Container{Namespace: labels[podNamespaceLabel], Pod: labels[podNameLabel], Name: labels[containerNameLabel]}
		if name.Name == "" || name.Pod == "" || c.GetCpu().GetUsageCoreNanoSeconds() == nil || c.GetMemory().GetWorkingSetBytes() == nil {
			continue // a stranger's, or one that has ended
		}
		ids[name], stats[c.Attributes.Id] = c.Attributes.Id, c
		out.Containers[name] = usage.Counters{
			Start: started[c.Attributes.Id], Time: time.Unix(0, c.Cpu.Timestamp),
			CPU: time.Duration(c.Cpu.UsageCoreNanoSeconds.Value), Memory: int64(c.Memory.WorkingSetBytes.Value),
		}
	}
	return out, ids, stats, nil
}

// started is when the running containers were started, by their id.
func (s *Server) started() map[string]time.Time {
	out := map[string]time.Time{}
	for _, pod := range s.cfg.Pods.Pods() {
		for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
			for _, c := range list {
				if c.State.Running != nil {
					out[bareID(c.ContainerID)] = c.State.Running.StartedAt.Time
				}
			}
		}
	}
	return out
}

// resourceMetrics is /metrics/resource, which metrics-server reads.
func (s *Server) resourceMetrics(w http.ResponseWriter, r *http.Request) {
	sample, _, err := s.sample(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := w.Write(sample.Text()); err != nil {
		s.cfg.Log.Debug("metrics: the client went away", "error", err)
	}
}

// summary is the kubelet's /stats/summary: processors, memory, network and file systems.
type summary struct {
	Node nodeStats  `json:"node"`
	Pods []podStats `json:"pods"`
}

type nodeStats struct {
	NodeName  string      `json:"nodeName"`
	StartTime metav1.Time `json:"startTime"`
	used
	Network *networkStats `json:"network,omitempty"`
	Fs      *fsStats      `json:"fs,omitempty"`
	Runtime *runtimeStats `json:"runtime,omitempty"`
}

type podStats struct {
	PodRef struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		UID       string `json:"uid"`
	} `json:"podRef"`
	StartTime  metav1.Time      `json:"startTime"`
	Containers []containerStats `json:"containers"`
	used
	Network   *networkStats `json:"network,omitempty"`
	Volumes   []volumeStats `json:"volume,omitempty"`
	Ephemeral *fsStats      `json:"ephemeral-storage,omitempty"`
}

type containerStats struct {
	id        string
	Name      string      `json:"name"`
	StartTime metav1.Time `json:"startTime"`
	used
	Rootfs *fsStats `json:"rootfs,omitempty"`
	Logs   *fsStats `json:"logs,omitempty"`
}

type used struct {
	CPU    cpuStats    `json:"cpu"`
	Memory memoryStats `json:"memory"`
}

type cpuStats struct {
	Time metav1.Time `json:"time"`
	Used uint64      `json:"usageCoreNanoSeconds"`
}

type memoryStats struct {
	Time       metav1.Time `json:"time"`
	WorkingSet uint64      `json:"workingSetBytes"`
}

func usedBy(c usage.Counters) used {
	at := metav1.NewTime(c.Time)
	return used{cpuStats{at, uint64(c.CPU)}, memoryStats{at, uint64(c.Memory)}}
}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	sample, ids, err := s.sample(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out := summary{Node: nodeStats{NodeName: s.cfg.NodeName, used: usedBy(sample.Node), Network: network(interfaces(procRoot), sample.Node.Time)}, Pods: []podStats{}}
	for _, pod := range s.cfg.Pods.Pods() {
		p := podStats{Containers: []containerStats{}}
		p.PodRef.Name, p.PodRef.Namespace, p.PodRef.UID = pod.Name, pod.Namespace, string(pod.UID)
		if pod.Status.StartTime != nil {
			p.StartTime = *pod.Status.StartTime
		}
		var sum usage.Counters
		for name, c := range sample.Containers {
			if name.Namespace != pod.Namespace || name.Pod != pod.Name {
				continue
			}
			p.Containers = append(p.Containers, containerStats{id: ids[name], Name: name.Name, StartTime: metav1.NewTime(c.Start), used: usedBy(c)})
			sum = usage.Counters{Time: c.Time, CPU: sum.CPU + c.CPU, Memory: sum.Memory + c.Memory}
		}
		if len(p.Containers) == 0 {
			continue
		}
		slices.SortFunc(p.Containers, func(a, b containerStats) int { return strings.Compare(a.Name, b.Name) })
		p.used = usedBy(sum)
		p.Network = network(s.inside(pod).Interfaces, sample.Node.Time)
		out.Pods = append(out.Pods, p)
	}
	s.cfg.Disks.fill(r.Context(), &out)
	slices.SortFunc(out.Pods, func(a, b podStats) int {
		return cmp.Or(strings.Compare(a.PodRef.Namespace, b.PodRef.Namespace), strings.Compare(a.PodRef.Name, b.PodRef.Name))
	})
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(&out); err != nil {
		s.cfg.Log.Debug("stats: the client went away", "error", err)
	}
}
