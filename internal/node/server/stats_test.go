package server

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/disk"
	"berth.dev/berth/internal/node/volume"
	"berth.dev/berth/internal/plan/usage"
)

var measured = time.UnixMilli(1_800_000_000_123)

// ListContainerStats has the pod's container, one that has ended and a stranger's.
func (c *cri) ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest, ...grpc.CallOption) (*runtimeapi.ListContainerStatsResponse, error) {
	labels := map[string]string{podNameLabel: "web-0", podNamespaceLabel: "ns", containerNameLabel: "app"}
	cpu := &runtimeapi.CpuUsage{Timestamp: measured.UnixNano(), UsageCoreNanoSeconds: &runtimeapi.UInt64Value{Value: 1_500_000_001}}
	memory := &runtimeapi.MemoryUsage{Timestamp: measured.UnixNano(), WorkingSetBytes: &runtimeapi.UInt64Value{Value: 7 << 20}}
	return &runtimeapi.ListContainerStatsResponse{Stats: []*runtimeapi.ContainerStats{
		{Attributes: &runtimeapi.ContainerAttributes{Id: "id-1", Labels: labels}, Cpu: cpu, Memory: memory},
		{Attributes: &runtimeapi.ContainerAttributes{Id: "id-0", Labels: labels}},
		{Attributes: &runtimeapi.ContainerAttributes{Id: "other"}, Cpu: cpu, Memory: memory},
	}}, nil
}

func TestResourceMetrics(t *testing.T) {
	w := newWorld(t)
	begun := measured.Add(-time.Minute).Truncate(time.Second)
	w.pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(begun)
	code, body := w.get(t, "/metrics/resource")
	sample, err := usage.Parse([]byte(body))
	if code != http.StatusOK || err != nil {
		t.Fatalf("%d %v %s", code, err, body)
	}
	want := map[usage.Container]usage.Counters{{Namespace: "ns", Pod: "web-0", Name: "app"}: {Start: begun, Time: measured, CPU: 1_500_000_001, Memory: 7 << 20}}
	if diff := cmp.Diff(want, sample.Containers); diff != "" {
		t.Error(diff)
	}
	if n := sample.Node; n.CPU <= 0 || n.Memory <= 0 || time.Since(n.Time) > time.Minute {
		t.Errorf("the node: %+v", n)
	}
	for _, line := range []string{
		"# TYPE container_cpu_usage_seconds_total counter",
		`container_cpu_usage_seconds_total{container="app",namespace="ns",pod="web-0"} 1.500000001 1800000000123`,
		`pod_memory_working_set_bytes{namespace="ns",pod="web-0"} 7340032 1800000000123`,
		"resource_scrape_error 0",
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
}

func TestSummary(t *testing.T) {
	w := newWorld(t)
	code, body := w.get(t, "/stats/summary")
	var got summary
	if err := json.Unmarshal([]byte(body), &got); code != http.StatusOK || err != nil {
		t.Fatalf("%d %v %s", code, err, body)
	}
	if got.Node.NodeName != "n1" || got.Node.CPU.Used == 0 || len(got.Pods) != 1 {
		t.Fatalf("%+v", got)
	}
	p := got.Pods[0]
	if p.PodRef.Name != "web-0" || p.PodRef.Namespace != "ns" || p.PodRef.UID != "uid-1" || len(p.Containers) != 1 || p.Containers[0].Name != "app" ||
		p.Containers[0].CPU.Used != 1_500_000_001 || p.Memory.WorkingSet != 7<<20 {
		t.Errorf("%+v", p)
	}
}

// images has a runtime's images on a disk.
type images struct {
	runtimeapi.ImageServiceClient
	on string
}

func (i images) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest, ...grpc.CallOption) (*runtimeapi.ImageFsInfoResponse, error) {
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: []*runtimeapi.FilesystemUsage{{
		FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: i.on}, UsedBytes: &runtimeapi.UInt64Value{Value: 12345}, InodesUsed: &runtimeapi.UInt64Value{Value: 6},
	}}}, nil
}

// What lies on disks is told of the node, of images, containers, logs and
// volumes; a volume that is gone is left out.
func TestFileSystems(t *testing.T) {
	w := newWorld(t)
	dir := datadir.Dir(t.TempDir())
	write := func(size int, path ...string) string {
		t.Helper()
		file := filepath.Join(append([]string{dir.Path()}, path...)...)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(file)
	}
	write(64<<10, "log", "pods", "ns_web-0_uid-1", "app", "0.log")
	scratch := write(256<<10, "scratch", "file")
	claim := write(1, "claim", "file")
	w.server.cfg.Disks = &Disks{
		Meter: disk.NewMeter(clock.RealClock{}), Dir: dir, State: dir.Path(), Images: images{on: dir.Path()},
		Volumes: func(uid types.UID) map[string]volume.Files {
			if uid != "uid-1" {
				return nil
			}
			return map[string]volume.Files{
				"scratch": {Path: scratch, Ephemeral: true}, "data": {Path: claim, Whole: true, Claim: "data-web-0"},
				"gone": {Path: dir.Path() + "/nothing", Whole: true, Claim: "gone"},
			}
		},
	}
	code, body := w.get(t, "/stats/summary")
	var got summary
	if err := json.Unmarshal([]byte(body), &got); code != http.StatusOK || err != nil || len(got.Pods) != 1 {
		t.Fatalf("%d %v %s", code, err, body)
	}
	if fs := got.Node.Fs; fs == nil || fs.Capacity == 0 || fs.Used == 0 || fs.Time.IsZero() {
		t.Errorf("the node's: %+v", fs)
	}
	if r := got.Node.Runtime; r == nil || r.ImageFs == nil || r.ImageFs.Used != 12345 || r.ImageFs.InodesUsed != 6 || r.ImageFs.Capacity != got.Node.Fs.Capacity || r.ContainerFs == nil {
		t.Errorf("the images': %+v", r)
	}
	p := got.Pods[0]
	logs := p.Containers[0].Logs
	if logs == nil || logs.Used < 64<<10 || logs.InodesUsed != 2 {
		t.Errorf("logs: %+v", logs)
	}
	if len(p.Volumes) != 2 || p.Volumes[0].Name != "data" || p.Volumes[1].Name != "scratch" {
		t.Fatalf("volumes: %+v", p.Volumes)
	}
	data, emptied := p.Volumes[0], p.Volumes[1]
	if data.PVCRef == nil || *data.PVCRef != (pvcRef{"data-web-0", "ns"}) || data.Used == 0 || data.Capacity != got.Node.Fs.Capacity {
		t.Errorf("of the claim: %+v", data)
	}
	if emptied.PVCRef != nil || emptied.Used < 256<<10 || emptied.InodesUsed != 2 {
		t.Errorf("of the emptyDir: %+v", emptied)
	}
	if e := p.Ephemeral; e == nil || e.Used != logs.Used+emptied.Used || e.InodesUsed != 4 || e.Capacity != got.Node.Fs.Capacity {
		t.Errorf("all that ends with the pod: %+v", e)
	}

	_, metrics := w.get(t, "/metrics")
	for _, family := range volumeFamilies {
		if !strings.Contains(metrics, "# TYPE kubelet_volume_stats_"+family.name+" gauge\nkubelet_volume_stats_"+family.name+`{namespace="ns",persistentvolumeclaim="data-web-0"} `) {
			t.Errorf("no %s of the claim in\n%s", family.name, metrics)
		}
	}
	if strings.Contains(metrics, `"gone"`) {
		t.Errorf("a volume that is gone:\n%s", metrics)
	}
}

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("stat", "cpu  100 20 3 4000 500 6 7 8 90 10\ncpu0 1 1 1\n")
	write("meminfo", "MemTotal:  1000 kB\nMemFree:  300 kB\nInactive(file):  100 kB\n")
	got, err := machine(dir, measured)
	if want := (usage.Counters{Time: measured, CPU: 136 * tick, Memory: 600 << 10}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	write("stat", "intr 1\n")
	if _, err := machine(dir, measured); err == nil {
		t.Error("nonsense was read")
	}
}

// What went over networks is told of the node and of pods that have one of
// their own; for Prometheus' charts also by cAdvisor's names.
func TestNetworkFigures(t *testing.T) {
	w := newWorld(t)
	w.server.cfg.Inside = func(pod *corev1.Pod) usage.Inside {
		if pod.Name != "web-0" {
			return usage.Inside{}
		}
		return usage.Inside{Cgroup: "/berth/pod1", Sandbox: "s1", Interfaces: []usage.Interface{
			{Name: "net1", Received: usage.Traffic{Bytes: 7}},
			{Name: "eth0", Received: usage.Traffic{Bytes: 100, Packets: 2, Errors: 1}, Sent: usage.Traffic{Bytes: 200, Errors: 3}},
		}}
	}
	code, body := w.get(t, "/stats/summary")
	var got struct {
		Pods []struct {
			Network json.RawMessage `json:"network"`
		} `json:"pods"`
	}
	if err := json.Unmarshal([]byte(body), &got); code != http.StatusOK || err != nil || len(got.Pods) != 1 {
		t.Fatalf("%d %v %s", code, err, body)
	}
	const want = `"name":"eth0","rxBytes":100,"rxErrors":1,"txBytes":200,"txErrors":3,"interfaces":[{"name":"net1","rxBytes":7,"rxErrors":0,"txBytes":0,"txErrors":0},{"name":"eth0","rxBytes":100,"rxErrors":1,"txBytes":200,"txErrors":3}]}`
	if n := string(got.Pods[0].Network); !strings.HasSuffix(n, want) {
		t.Errorf("the pod's: %s", n)
	}
	code, body = w.get(t, "/metrics/cadvisor")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	for _, line := range []string{
		`container_cpu_usage_seconds_total{container="app",cpu="total",id="/berth/pod1/id-1",image="",name="id-1",namespace="ns",pod="web-0"} 1.500000001 1800000000123`,
		`container_memory_working_set_bytes{container="app",id="/berth/pod1/id-1",image="",name="id-1",namespace="ns",pod="web-0"} 7340032 1800000000123`,
		`container_network_receive_packets_total{container="",id="/berth/pod1/s1",image="",interface="eth0",name="s1",namespace="ns",pod="web-0"} 2 `,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
}

func TestThrottled(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"cpu/one/cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 2000000\n",
		"two/cpu.stat":     "usage_usec 77\nnr_periods 10\nnr_throttled 3\nthrottled_usec 2000\n",
	} {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, of := range []string{"one", "two"} {
		if got := throttled(root, of); got == nil || *got != (usage.Throttled{Periods: 10, Throttled: 3, Time: 2 * time.Millisecond}) {
			t.Errorf("%s: %+v", of, got)
		}
	}
	if got := throttled(root, "none"); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}
