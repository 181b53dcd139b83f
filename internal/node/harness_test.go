package node_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node"
	"berth.dev/berth/internal/node/cri/fakecri"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// noVolumes gives every volume of a pod an empty folder; fail makes Setup fail.
type noVolumes struct {
	root string
	mu   sync.Mutex
	fail error
	stay error // of TearDown
	hung func(types.UID)
	torn []types.UID
}

func (v *noVolumes) Setup(_ context.Context, pod *corev1.Pod) (map[string]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	paths := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		path := filepath.Join(v.root, string(pod.UID), volume.Name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
		paths[volume.Name] = path
	}
	return paths, v.fail
}

func (v *noVolumes) TearDown(_ context.Context, uid types.UID) error {
	v.mu.Lock()
	hung := v.hung
	v.mu.Unlock()
	if hung != nil {
		hung(uid)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.torn = append(v.torn, uid)
	return v.stay
}

// keep lets TearDown fail.
func (v *noVolumes) keep(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stay = err
}

// hang calls f, which may not return, before anything is torn down.
func (v *noVolumes) hang(f func(types.UID)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hung = f
}

func (v *noVolumes) set(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail = err
}

// told collects events.
type told struct {
	mu     sync.Mutex
	events []string
}

func (e *told) Event(_ runtime.Object, kind, reason, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, kind+" "+reason+" "+message)
}

func (e *told) Eventf(o runtime.Object, kind, reason, format string, args ...any) {
	e.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

func (e *told) AnnotatedEventf(o runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	e.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

func (e *told) has(part string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.events {
		if strings.Contains(ev, part) {
			return true
		}
	}
	return false
}

// bed is an agent on a fake runtime and a fake API.
type bed struct {
	t       *testing.T
	runtime *fakecri.Runtime
	client  *fake.Clientset
	volumes *noVolumes
	events  *told
	agent   *node.Agent
	dir     datadir.Dir
	relist  time.Duration
	stop    func()
	version int
	mu      sync.Mutex
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, runtime: fakecri.New("demo:1"), client: newClient(), volumes: &noVolumes{}, events: &told{}}
	b.dir = datadir.Dir(t.TempDir())
	b.withDeletes()
	b.start()
	t.Cleanup(func() {
		b.stop()
		b.runtime.Close()
		removeCgroups("berth-test-" + b.dir.ID())
	})
	return b
}

func newClient() *fake.Clientset { return fake.NewClientset() }

// withDeletes makes the fake API hand out versions, as the real one does, and
// lets a pod that is not deleted by force stay.
func (b *bed) withDeletes() {
	b.client.PrependReactor("delete", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		d := a.(clienttesting.DeleteActionImpl)
		grace := d.DeleteOptions.GracePeriodSeconds
		if grace != nil && *grace == 0 {
			return false, nil, nil
		}
		pod := b.get(d.Name)
		now := metav1.Now()
		pod.DeletionTimestamp = &now
		pod.DeletionGracePeriodSeconds = pod.Spec.TerminationGracePeriodSeconds
		if grace != nil {
			pod.DeletionGracePeriodSeconds = grace
		}
		b.update(pod)
		return true, pod, nil
	})
}

func (b *bed) start() { b.begin(b.config()) }

func (b *bed) config() node.Config {
	return node.Config{
		NodeName: "n1", Client: b.client, Runtime: b.runtime.Dial(), Dir: b.dir, Volumes: b.volumes, Events: b.events,
		ClusterDomain: "cluster.local", ClusterDNS: []netip.Addr{netip.MustParseAddr("10.43.0.10")},
		NodeIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, CgroupParent: "/berth-test-" + b.dir.ID(), Relist: b.relist,
	}
}

func (b *bed) begin(cfg node.Config) {
	b.t.Helper()
	agent, err := node.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- agent.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		b.t.Fatalf("agent ended: %v", err)
	case <-time.After(time.Minute):
		b.t.Fatal("agent not ready")
	}
	b.agent = agent
	var once sync.Once
	b.stop = func() {
		once.Do(func() {
			began := time.Now()
			cancel()
			if err := <-done; err != nil {
				b.t.Errorf("agent: %v", err)
			}
			if took := time.Since(began); took > time.Minute {
				b.t.Errorf("stopping took %v", took)
			}
		})
	}
}

func (b *bed) get(name string) *corev1.Pod {
	o, err := b.client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("pods"), "default", name)
	if err != nil {
		return nil
	}
	return o.(*corev1.Pod).DeepCopy()
}

func (b *bed) update(pod *corev1.Pod) {
	b.mu.Lock()
	b.version++
	pod.ResourceVersion = fmt.Sprint(1000 + b.version)
	b.mu.Unlock()
	if err := b.client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, "default"); err != nil {
		b.t.Error(err)
	}
}

func (b *bed) create(pod *corev1.Pod) {
	b.t.Helper()
	if err := b.client.Tracker().Create(corev1.SchemeGroupVersion.WithResource("pods"), pod, "default"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) delete(name string, o metav1.DeleteOptions) {
	b.t.Helper()
	if err := b.client.CoreV1().Pods("default").Delete(context.Background(), name, o); err != nil {
		b.t.Fatal(err)
	}
}

// eventually waits for a condition; what is shown when it does not come.
func (b *bed) eventually(what string, cond func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !cond() {
		if time.Now().After(deadline) {
			if os.Getenv("VERBOSE") != "" {
				for _, p := range b.agent.Pods() {
					b.t.Logf("%+v", p.Status)
				}
			}
			b.t.Fatalf("never: %s\ncalls: %v\nevents: %v", what, tail(b.runtime.Calls()), tail(b.events.events))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (b *bed) ready(name string) bool {
	pod := b.get(name)
	if pod == nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func demo(name string) *corev1.Pod {
	grace := int64(5)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name), ResourceVersion: "1", Generation: 1},
		Spec: corev1.PodSpec{
			NodeName: "n1", RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst,
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "app", Image: "demo:1", ImagePullPolicy: corev1.PullIfNotPresent,
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			}},
		},
	}
}

// setExec lets every command end with that code.
func (b *bed) setExec(code int32) {
	b.runtime.SetExec(func(*fakecri.Container, []string) (string, int32) { return "", code })
}

func tail(list []string) []string { return list[max(0, len(list)-40):] }

// removeCgroups removes what the agent's pods leave above their own cgroups.
func removeCgroups(name string) {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	for _, root := range append(roots, "/sys/fs/cgroup/"+name) {
		pods, _ := filepath.Glob(root + "/*/*")
		classes, _ := filepath.Glob(root + "/*")
		for _, dir := range append(append(pods, classes...), root) {
			_ = syscall.Rmdir(dir)
		}
	}
}
