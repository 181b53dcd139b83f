package evict_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/evict"
	plan "berth.dev/berth/internal/plan/evict"
	"berth.dev/berth/internal/plan/podsync"
)

// machine has so much memory free; each pod that ends gives 10 back.
type machine struct {
	runtimeapi.RuntimeServiceClient
	mu      sync.Mutex
	free    int64
	pods    []*corev1.Pod
	ended   []string
	changed int
	all     chan struct{} // closed when no pod is left
}

func (m *machine) ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest, ...grpc.CallOption) (*runtimeapi.ListContainerStatsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &runtimeapi.ListContainerStatsResponse{}
	for _, p := range m.pods {
		out.Stats = append(out.Stats, &runtimeapi.ContainerStats{
			Attributes: &runtimeapi.ContainerAttributes{Id: p.Name, Labels: map[string]string{cri.LabelPodUID: string(p.UID), cri.LabelContainerName: "c"}},
			Memory:     &runtimeapi.MemoryUsage{WorkingSetBytes: &runtimeapi.UInt64Value{Value: uint64(len(p.Name))}},
		})
	}
	return out, nil
}

func (m *machine) Running() []*corev1.Pod {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*corev1.Pod{}, m.pods...)
}

func (m *machine) End(uid types.UID, kill podsync.Kill) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = append(m.ended, string(uid)+": "+kill.Message)
	m.free += 10
	var left []*corev1.Pod
	for _, p := range m.pods {
		if p.UID != uid {
			left = append(left, p)
		}
	}
	m.pods = left
	if len(left) == 0 {
		close(m.all)
	}
	gone := make(chan struct{})
	close(gone)
	return gone
}

func (m *machine) observe() map[plan.Signal]plan.Observation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[plan.Signal]plan.Observation{plan.MemoryAvailable: {Available: m.free, Capacity: 100}}
}

func (m *machine) evictor(t *testing.T, dir string) *evict.Evictor {
	m.all = make(chan struct{})
	return evict.New(evict.Config{
		Config: plan.Config{Thresholds: []plan.Threshold{{Signal: plan.MemoryAvailable, Least: plan.Amount{Count: 20}}}, Transition: time.Hour},
		Dir:    datadir.Dir(dir), State: dir, Runtime: m, Pods: m, Observe: m.observe, Event: func(string, string, string) {},
		Changed: func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.changed++
		},
	})
}

func pod(name string, volumes ...corev1.Volume) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}, Volumes: volumes},
	}
}

func run(t *testing.T, e *evict.Evictor, until <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	select {
	case <-until:
	case <-time.After(time.Minute):
		t.Error("nothing happened for a minute")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// One pod after the other ends, and the node says what it is under.
func TestPodsEndUntilThereIsEnough(t *testing.T) {
	m := &machine{free: 5, pods: []*corev1.Pod{pod("four"), pod("longest")}}
	e := m.evictor(t, t.TempDir())
	run(t, e, m.all)
	const low = ": The node was low on resource: memory. Threshold quantity: 20, available: "
	want := []string{
		"longest" + low + "5. Container c was using 7, request is 0, has larger consumption of memory. ",
		"four" + low + "15. Container c was using 4, request is 0, has larger consumption of memory. ",
	}
	if len(m.ended) != 2 || m.ended[0] != want[0] || m.ended[1] != want[1] {
		t.Errorf("%q", m.ended)
	}
	if p, _ := e.Pressure(); len(p) != 1 || p[0] != corev1.NodeMemoryPressure || m.changed != 1 {
		t.Errorf("under %v, told %d times", p, m.changed)
	}
}

// A pod that puts more into its volume than it may is ended, another that has
// as much without a limit is not looked at.
func TestVolumeOverItsLimit(t *testing.T) {
	dir := t.TempDir()
	volume := func(limit *resource.Quantity) corev1.Volume {
		return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: limit}}}
	}
	m := &machine{free: 90, pods: []*corev1.Pod{pod("p", volume(ptr.To(resource.MustParse("64Ki"))))}}
	path := filepath.Join(dir, "kubelet/pods/p/volumes/kubernetes.io~empty-dir/v/deep")
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "file"), make([]byte, 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(path, "file"), filepath.Join(path, "again")); err != nil {
		t.Fatal(err)
	}
	run(t, m.evictor(t, dir), m.all)
	if len(m.ended) != 1 || m.ended[0] != `p: Usage of EmptyDir volume "v" exceeds the limit "64Ki". ` {
		t.Errorf("%q", m.ended)
	}
}
