package node_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/node"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/cri/fakecri"
	noderuntime "berth.dev/berth/internal/node/runtime"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const inside = "BERTH_NODE_REAL"

// TestRealContainers runs pods on a real containerd, in a network and mount
// namespace of its own.
func TestRealContainers(t *testing.T) {
	bundle, err := filepath.Abs("../../bin/bundle")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bundle, "images", "demo.tar")); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and the bundle (make bundle)")
	}
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRealContainers$", "-test.v", "-test.timeout=3m") //nolint:gosec // this test itself
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	r := newReal(t, bundle)
	t.Run("one pod", r.onePod)
	t.Run("crash and messages", r.crash)
	t.Run("init, sidecar and hooks", r.initialize)
	t.Run("takeover", r.takeover)
	t.Run("ten in order", r.ordered)
}

// real is a bed on containerd.
type real struct {
	*bed
	cri *cri.Client
}

func newReal(t *testing.T, bundle string) *real {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(os.MkdirAll("/var/lib/cni", 0o700))
	must(unix.Mount("tmpfs", "/var/lib/cni", "tmpfs", 0, "")) // results are cached there by name
	lo, err := netlink.LinkByName("lo")
	must(err)
	must(netlink.LinkSetUp(lo))

	base, err := os.MkdirTemp("", "nr")
	if err != nil {
		base, err = os.MkdirTemp("", "nr")
	}
	must(err)
	dir := datadir.Dir(base)
	must(dir.Create())
	must(os.MkdirAll(dir.CNIConf(), 0o700))
	must(os.WriteFile(filepath.Join(dir.CNIConf(), "10-test.conflist"), fmt.Appendf(nil, `{"cniVersion":"1.0.0","name":"t%s","plugins":[
		{"type":"ptp","ipam":{"type":"host-local","ranges":[[{"subnet":"10.42.0.0/16"}]],"dataDir":%q}}]}`, dir.ID(), filepath.Join(base, "ipam")), 0o600))
	cfg := noderuntime.Config{Dir: dir, BundleDir: bundle, RestrictOOMScore: true}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- noderuntime.New(cfg, slog.New(slog.DiscardHandler)).Run(ctx, func() { close(ready) })
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	store, err := image.Open(dir.RuntimeSocket())
	must(err)
	must(store.Ensure(ctx, filepath.Join(bundle, "images", "pause.tar"), filepath.Join(bundle, "images", "demo.tar")))
	must(store.Close())

	b := &bed{t: t, runtime: fakecri.New(), client: newClient(), volumes: &noVolumes{root: filepath.Join(base, "volumes")}, events: &told{}, dir: dir}
	b.withDeletes()
	client, err := cri.Dial(dir.CRISocket())
	must(err)
	r := &real{bed: b, cri: client}
	r.startReal()
	t.Cleanup(func() {
		r.stop()
		r.wipe()
		cancel()
		<-ended
		if err := noderuntime.Stop(cfg); err != nil {
			t.Error(err)
		}
		removeCgroups("berth-" + dir.ID())
		_ = os.RemoveAll(dir.Run())
		_ = os.RemoveAll(base)
	})
	return r
}

func (r *real) startReal() {
	r.begin(node.Config{
		NodeName: "n1", Client: r.client, Endpoint: r.dir.CRISocket(), Dir: r.dir, Volumes: r.volumes, Events: r.events,
		ClusterDomain: "cluster.local", ClusterDNS: []netip.Addr{netip.MustParseAddr("10.43.0.10")},
		NodeIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}

// wipe removes what a failed test left behind.
func (r *real) wipe() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	list, err := r.cri.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		r.t.Error(err)
		return
	}
	for _, s := range list.Items {
		_, _ = r.cri.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: s.Id})
		_, _ = r.cri.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: s.Id})
	}
}

func realPod(name string) *corev1.Pod {
	pod := demo(name)
	pod.UID = types.UID(fmt.Sprintf("%s-%d", name, time.Now().UnixNano()))
	pod.Spec.Subdomain, pod.Spec.Hostname = "web", name
	c := &pod.Spec.Containers[0]
	c.Image = "berth.dev/demo:1"
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	c.ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}},
		PeriodSeconds: 1,
	}
	return pod
}

func (r *real) onePod(t *testing.T) {
	r.t = t
	began := time.Now()
	r.create(realPod("web-0"))
	r.eventually("Ready", func() bool { return r.ready("web-0") })
	t.Logf("create to Ready: %v", time.Since(began))
	pod := r.get("web-0")
	res, err := http.Get("http://" + pod.Status.PodIP + ":8080/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if !strings.Contains(string(body), "web-0") {
		t.Errorf("the pod says %s", body)
	}
	t.Logf("%s", body)
	if st := pod.Status.ContainerStatuses[0]; st.ImageID == "" || st.Image != "berth.dev/demo:1" {
		t.Errorf("status %+v", st)
	}
	cgroup := "/sys/fs/cgroup/memory/berth-" + r.dir.ID()
	if _, err := os.Stat(cgroup); err != nil {
		t.Errorf("no cgroup: %v", err)
	}
	hosts, err := os.ReadFile(filepath.Join(r.dir.Kubelet(), "containers", string(pod.UID), "etc-hosts"))
	if err != nil || !strings.Contains(string(hosts), pod.Status.PodIP+"\tweb-0.web.default.svc.cluster.local\tweb-0\n") {
		t.Errorf("hosts %s %v", hosts, err)
	}

	began = time.Now()
	r.delete("web-0", metav1.DeleteOptions{})
	r.eventually("gone", func() bool { return r.get("web-0") == nil })
	t.Logf("delete to gone: %v", time.Since(began))
	r.eventually("clean", func() bool { return len(r.agent.Pods()) == 0 })
	if left, _ := filepath.Glob(filepath.Join(cgroup, "*", "pod*")); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
	for _, dir := range []string{r.dir.PodLogs(), filepath.Join(r.dir.Kubelet(), "containers")} {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
}

func (r *real) crash(t *testing.T) {
	r.t = t
	pod := realPod("crash")
	pod.Spec.Containers[0].Args = []string{"-listen", "nonsense"}
	pod.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	r.create(pod)
	r.eventually("CrashLoopBackOff", func() bool {
		st := r.get("crash").Status.ContainerStatuses
		return len(st) == 1 && st[0].State.Waiting != nil && st[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	st := r.get("crash").Status.ContainerStatuses[0]
	if last := st.LastTerminationState.Terminated; st.RestartCount != 1 || last == nil || last.ExitCode != 1 || !strings.Contains(last.Message, "serve on nonsense") {
		t.Errorf("status %+v", st)
	}
	r.delete("crash", metav1.DeleteOptions{})

	pod = realPod("noexec")
	pod.Spec.Containers[0].Command = []string{"/missing"}
	r.create(pod)
	r.eventually("RunContainerError", func() bool {
		st := r.get("noexec").Status.ContainerStatuses
		return len(st) == 1 && st[0].State.Waiting != nil && st[0].State.Waiting.Reason == "RunContainerError"
	})
	t.Logf("%s", r.get("noexec").Status.ContainerStatuses[0].State.Waiting.Message)
	r.delete("noexec", metav1.DeleteOptions{})
	r.eventually("gone", func() bool { return r.get("crash") == nil && r.get("noexec") == nil })
}

func (r *real) initialize(t *testing.T) {
	r.t = t
	pod := realPod("init")
	always := corev1.ContainerRestartPolicyAlways
	side := *pod.Spec.Containers[0].DeepCopy()
	side.Name, side.Args, side.ReadinessProbe, side.RestartPolicy = "side", []string{"-listen", ":9090"}, nil, &always
	side.StartupProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 30, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(9090)}}}
	pod.Spec.InitContainers = []corev1.Container{side}
	pod.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{
		PostStart: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 0}},
		PreStop:   &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8080)}},
	}
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	r.create(pod)
	r.eventually("Ready", func() bool { return r.ready("init") })
	got := r.get("init")
	if s := got.Status.InitContainerStatuses[0]; !s.Ready || !*s.Started || s.State.Running == nil {
		t.Errorf("sidecar %+v", s)
	}
	r.delete("init", metav1.DeleteOptions{})
	r.eventually("gone", func() bool { return r.get("init") == nil })
	if r.events.has("FailedPreStopHook") {
		t.Errorf("%v", r.events.events)
	}
}

func (r *real) takeover(t *testing.T) {
	r.t = t
	r.create(realPod("stay"))
	r.eventually("Ready", func() bool { return r.ready("stay") })
	before := r.get("stay").Status
	r.stop()
	r.startReal()
	time.Sleep(1500 * time.Millisecond)
	after := r.get("stay").Status
	if !r.ready("stay") || after.ContainerStatuses[0].ContainerID != before.ContainerStatuses[0].ContainerID || after.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("taken over as %+v", after)
	}
	r.delete("stay", metav1.DeleteOptions{})
	r.eventually("gone", func() bool { return r.get("stay") == nil })
}

func (r *real) ordered(t *testing.T) {
	r.t = t
	began := time.Now()
	for i := range 10 {
		name := fmt.Sprintf("web-%d", i)
		r.create(realPod(name))
		r.eventually(name+" Ready", func() bool { return r.ready(name) })
	}
	t.Logf("10 ordered: %v", time.Since(began))
	began = time.Now()
	for i := 9; i >= 0; i-- {
		name := fmt.Sprintf("web-%d", i)
		r.delete(name, metav1.DeleteOptions{})
		r.eventually(name+" gone", func() bool { return r.get(name) == nil })
	}
	t.Logf("10 to 0: %v", time.Since(began))
	r.eventually("clean", func() bool { return len(r.agent.Pods()) == 0 })
}
