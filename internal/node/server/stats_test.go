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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

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
