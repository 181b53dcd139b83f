package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"berth.dev/berth/internal/plan/evict"
)

// still is a machine that does as it is told.
type still struct {
	mu sync.Mutex
	u  usage
}

func (s *still) host() corev1.NodeSystemInfo {
	return corev1.NodeSystemInfo{MachineID: "m", BootID: "b", KernelVersion: "6.18", OSImage: "Debian", OperatingSystem: "linux", Architecture: "amd64"}
}

func (s *still) usage() usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.u
}

func (s *still) set(change func(*usage)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.u)
}

func newStill() *still {
	return &still{u: usage{
		cpus: 2, memory: 4 << 30, memoryAvailable: 3 << 30, disk: 100 << 30,
		diskAvailable: 50 << 30, hugePages: map[string]int64{"2Mi": 0},
	}}
}

// world is one node being registered.
type world struct {
	*Registration
	client  *fake.Clientset
	clock   *clocktesting.FakeClock
	machine *still
	mu      sync.Mutex
	ready   string // empty when ready
	events  []string
}

func start(t *testing.T, change func(*Config), objects ...runtime.Object) *world {
	t.Helper()
	w := &world{client: fake.NewClientset(objects...), clock: clocktesting.NewFakeClock(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)), machine: newStill()}
	cfg := Config{
		Name: "n1", Client: w.client, Labeler: w.client, ControlPlane: true, Addresses: []string{"10.0.0.5", "fd00::5"}, Port: 10250,
		VolumesDir: "/data/volumes", Version: "v1.37.2+berth1", Labels: map[string]string{"disk": "ssd"},
		Reserved: corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("412Mi")},
		Runtime:  func() Runtime { return Runtime{Version: "containerd://2.4.2"} },
		Ready: func() (bool, string, string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.ready == "", "", w.ready
		},
		Event: func(kind, reason, message string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, reason+": "+message)
		},
		Clock: w.clock, probe: w.machine,
	}
	if change != nil {
		change(&cfg)
	}
	w.Registration = New(cfg)
	return w
}

func (w *world) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (w *world) condition(kind corev1.NodeConditionType) corev1.NodeCondition {
	node, err := w.client.CoreV1().Nodes().Get(context.Background(), "n1", metav1.GetOptions{})
	if err != nil {
		return corev1.NodeCondition{}
	}
	for _, c := range node.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.NodeCondition{}
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}

// writes counts what changed the node.
func (w *world) writes() int {
	n := 0
	for _, a := range w.client.Actions() {
		if a.GetResource().Resource == "nodes" && slices.Contains([]string{"create", "update", "patch"}, a.GetVerb()) {
			n++
		}
	}
	return n
}

func TestRegisterNew(t *testing.T) {
	w := start(t, nil)
	w.ready = "container runtime network not ready"
	w.run(t)
	soon(t, "the node is registered with its role", func() bool {
		n := w.Node()
		return n != nil && n.Labels[controlPlaneLabel] == "true"
	})
	node, err := w.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{
		"kubernetes.io/hostname": "n1", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64", "node-role.kubernetes.io/control-plane": "true", "disk": "ssd",
	}, node.Labels); diff != "" {
		t.Error(diff)
	}
	if got := node.Annotations["berth.dev/volumes-dir"]; got != "/data/volumes" {
		t.Errorf("annotation %q", got)
	}
	resources := func(list corev1.ResourceList) map[string]string {
		out := map[string]string{}
		for name, q := range list {
			out[string(name)] = q.String()
		}
		return out
	}
	if diff := cmp.Diff(map[string]string{"cpu": "2", "memory": "4Gi", "pods": "110", "ephemeral-storage": "100Gi", "hugepages-2Mi": "0"}, resources(node.Status.Capacity)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"cpu": "1500m", "memory": "3584Mi", "pods": "110", "ephemeral-storage": "102005473280", "hugepages-2Mi": "0"}, resources(node.Status.Allocatable)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]corev1.NodeAddress{{Type: "InternalIP", Address: "10.0.0.5"}, {Type: "InternalIP", Address: "fd00::5"}, {Type: "Hostname", Address: "n1"}}, node.Status.Addresses); diff != "" {
		t.Error(diff)
	}
	if i := node.Status.NodeInfo; i.KubeletVersion != "v1.37.2+berth1" || i.ContainerRuntimeVersion != "containerd://2.4.2" || i.OSImage != "Debian" || node.Status.DaemonEndpoints.KubeletEndpoint.Port != 10250 {
		t.Errorf("%+v", i)
	}
	var got []string
	for _, c := range node.Status.Conditions {
		got = append(got, fmt.Sprintf("%s=%s %s %s", c.Type, c.Status, c.Reason, c.Message))
	}
	if diff := cmp.Diff([]string{
		"MemoryPressure=False KubeletHasSufficientMemory kubelet has sufficient memory available",
		"DiskPressure=False KubeletHasNoDiskPressure kubelet has no disk pressure",
		"PIDPressure=False KubeletHasSufficientPID kubelet has sufficient PID available",
		"Ready=False KubeletNotReady container runtime network not ready",
	}, got); diff != "" {
		t.Error(diff)
	}

	// Ready is reported as soon as it is true.
	w.clock.Step(time.Second)
	w.mu.Lock()
	w.ready = ""
	w.mu.Unlock()
	w.Trigger()
	soon(t, "the node is ready", func() bool { return w.condition("Ready").Status == corev1.ConditionTrue })
	if c := w.condition("Ready"); c.Reason != "KubeletReady" || c.Message != "kubelet is posting ready status" || !c.LastTransitionTime.Time.Equal(w.clock.Now()) {
		t.Errorf("%+v", c)
	}
	soon(t, "the event", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Contains(w.events, "NodeReady: Node n1 status is now: NodeReady") && slices.Contains(w.events, "Starting: Starting kubelet.") &&
			slices.Contains(w.events, "NodeHasSufficientMemory: Node n1 status is now: NodeHasSufficientMemory")
	})
	// The lease.
	soon(t, "the lease", func() bool {
		l, err := w.client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "n1", metav1.GetOptions{})
		return err == nil && *l.Spec.HolderIdentity == "n1" && *l.Spec.LeaseDurationSeconds == 40 && len(l.OwnerReferences) == 1
	})
}

func TestQuietWhenNothingChanges(t *testing.T) {
	w := start(t, nil)
	w.run(t)
	soon(t, "registered", func() bool { n := w.Node(); return n != nil && n.Labels[controlPlaneLabel] != "" })
	soon(t, "its loop waits", w.clock.HasWaiters)
	before := w.writes()
	for range 20 {
		w.machine.set(func(u *usage) { u.memoryAvailable -= 1 << 20; u.diskAvailable -= 100 << 20 })
		w.clock.Step(checkInterval)
		time.Sleep(2 * time.Millisecond)
	}
	if got := w.writes(); got != before {
		t.Errorf("%d writes though nothing has changed", got-before)
	}
	// The heartbeat after five minutes.
	w.clock.Step(postInterval)
	soon(t, "a heartbeat", func() bool { return w.writes() > before })
	if c := w.condition("Ready"); !c.LastHeartbeatTime.After(c.LastTransitionTime.Time) {
		t.Errorf("%+v", c)
	}
}

// A node that was given up, as one does whose network was cut, says at once that it
// is there when it sees that.
func TestGivenUpAndBack(t *testing.T) {
	w := start(t, nil)
	w.run(t)
	soon(t, "registered", func() bool { n := w.Node(); return n != nil && n.Labels[controlPlaneLabel] != "" })
	soon(t, "its loop waits", w.clock.HasWaiters)
	before := w.writes()
	w.Seen(w.Node())
	node := w.Node().DeepCopy()
	for i := range node.Status.Conditions {
		node.Status.Conditions[i].Status, node.Status.Conditions[i].Reason = corev1.ConditionUnknown, "NodeStatusUnknown"
	}
	other := node.DeepCopy()
	other.UID = "another"
	w.Seen(other)
	if got := w.writes(); got != before {
		t.Errorf("%d writes though nobody gave it up", got-before)
	}
	if _, err := w.client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Seen(node)
	soon(t, "all conditions are told", func() bool {
		n, err := w.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		return err == nil && !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Status == corev1.ConditionUnknown })
	})
}

// The node shows what it is told that it is under, and until then what it showed
// before, so that a restart is no news.
func TestPressure(t *testing.T) {
	var mu sync.Mutex
	var under []corev1.NodeConditionType
	known := false
	say := func(list ...corev1.NodeConditionType) {
		mu.Lock()
		under, known = list, true
		mu.Unlock()
	}
	before := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u"}}
	before.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodePIDPressure, Status: corev1.ConditionTrue}}
	w := start(t, func(c *Config) {
		c.Pressure = func() ([]corev1.NodeConditionType, bool) {
			mu.Lock()
			defer mu.Unlock()
			return under, known
		}
	}, before)
	w.run(t)
	soon(t, "registered", func() bool { return w.Node() != nil })
	if pid, memory := w.condition("PIDPressure"), w.condition("MemoryPressure"); pid.Reason != "KubeletHasInsufficientPID" || memory.Reason != "KubeletHasSufficientMemory" {
		t.Errorf("%+v %+v", pid, memory)
	}
	say(corev1.NodeMemoryPressure, corev1.NodeDiskPressure)
	w.Trigger()
	soon(t, "pressure", func() bool {
		return w.condition("MemoryPressure").Status == corev1.ConditionTrue && w.condition("DiskPressure").Reason == "KubeletHasDiskPressure" &&
			w.condition("PIDPressure").Status == corev1.ConditionFalse
	})
	if c := w.condition("MemoryPressure"); c.Reason != "KubeletHasInsufficientMemory" || c.Message != "kubelet has insufficient memory available" {
		t.Errorf("%+v", c)
	}
	soon(t, "the events", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		all := strings.Join(w.events, "\n")
		return strings.Contains(all, "NodeHasInsufficientMemory: ") && strings.Contains(all, "NodeHasDiskPressure: ")
	})
}

// A tenth of a large disk is more than pods need.
func TestDiskThreshold(t *testing.T) {
	const gi = 1 << 30
	for name, c := range map[string]struct {
		whole, free int64
		threshold   evict.Amount
		want        bool
	}{
		"small disk, above a tenth":  {8 * gi, 1 * gi, DefaultEviction().DiskAvailable, false},
		"small disk, below a tenth":  {8 * gi, gi / 2, DefaultEviction().DiskAvailable, true},
		"large disk, below a tenth":  {252 * gi, 20 * gi, DefaultEviction().DiskAvailable, false},
		"large disk, nearly full":    {252 * gi, 4 * gi, DefaultEviction().DiskAvailable, true},
		"a part":                     {252 * gi, 20 * gi, evict.Amount{Share: 0.10}, true},
		"an amount":                  {252 * gi, 20 * gi, evict.Amount{Count: 30 * gi}, true},
		"more than there is of disk": {8 * gi, 8 * gi, evict.Amount{Count: 30 * gi}, true},
		"switched off":               {252 * gi, 0, evict.Amount{}, false},
	} {
		config := evict.Config{Thresholds: (&Eviction{DiskAvailable: c.threshold}).Thresholds()}
		_, verdict := config.Look(evict.Memory{}, map[evict.Signal]evict.Observation{evict.DiskAvailable: {Available: c.free, Capacity: c.whole}}, time.Unix(0, 0))
		if got := slices.Contains(verdict.Conditions, corev1.NodeDiskPressure); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A node that was there before keeps what others gave it.
func TestTakeOver(t *testing.T) {
	old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: "n1", UID: "u", Labels: map[string]string{"mine": "yes", "disk": "hdd", controlPlaneLabel: ""}, Annotations: map[string]string{"a": "b"},
	}}
	old.Spec.Unschedulable = true
	old.Status.Capacity = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
	old.Status.Allocatable = old.Status.Capacity.DeepCopy()
	old.Status.Conditions = []corev1.NodeCondition{
		{Type: "NetworkUnavailable", Status: corev1.ConditionFalse, Reason: "Other"},
		{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown"},
	}
	w := start(t, nil, old)
	w.run(t)
	soon(t, "ready", func() bool { return w.condition("Ready").Status == corev1.ConditionTrue })
	node, err := w.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if node.Labels["mine"] != "yes" || node.Labels["disk"] != "ssd" || node.Labels[controlPlaneLabel] != "" || node.Annotations["a"] != "b" || !node.Spec.Unschedulable {
		t.Errorf("%v %v %v", node.Labels, node.Annotations, node.Spec)
	}
	if q := node.Status.Allocatable["example.com/gpu"]; q.Value() != 1 {
		t.Error("another's resource was lost")
	}
	if w.condition("NetworkUnavailable").Reason != "Other" {
		t.Error("another's condition was lost")
	}
}

// The API server is away, then somebody deletes the node: it comes back.
func TestTroubles(t *testing.T) {
	w := start(t, func(c *Config) { c.Clock = nil })
	refuse := 3
	w.client.PrependReactor("create", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		if refuse--; refuse >= 0 {
			return true, nil, errors.New("connection refused")
		}
		return false, nil, nil
	})
	w.run(t)
	soon(t, "registered", func() bool { return w.condition("Ready").Status == corev1.ConditionTrue })
	if err := w.client.CoreV1().Nodes().Delete(t.Context(), "n1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.ready = "runtime is down"
	w.mu.Unlock()
	w.Trigger()
	soon(t, "registered again", func() bool { return w.condition("Ready").Message == "runtime is down" })
}

func TestThisMachine(t *testing.T) {
	m := machine{t.TempDir()}
	h, u := m.host(), m.usage()
	if h.KernelVersion == "" || h.BootID == "" || h.OSImage == "" || u.cpus < 1 || u.memory < 1<<20 || u.memoryAvailable > u.memory || u.disk == 0 || u.diskAvailable < 0 || u.diskAvailable > u.disk || u.pids < 1 || u.pidsFree > u.pids {
		t.Errorf("%+v %+v", h, u)
	}
	t.Logf("%+v %+v", h, u)
}
