// Package toy is what the benchmarks of workloads share: the real control plane
// with toy nodes, which make pods Ready at once, and the account of what it writes.
package toy

import (
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"berth.dev/berth/internal/base/memory"
	"berth.dev/berth/internal/controller/all/alltest"
)

const (
	machines = 10
	patience = 10 * time.Minute
)

// Options say what a benchmark is about.
type Options struct {
	// Loop is whose reconciles are counted.
	Loop string
	// ClusterIP is that of the Service "web", of all pods labelled app=web.
	ClusterIP string
}

// Toy is the real control plane with toy nodes, and what is seen of it.
type Toy struct {
	*alltest.Cluster
	Journal *Journal
	B       *testing.B

	loop string

	mu         sync.Mutex
	asked      map[string]int // requests that write, by who, verb and what
	readyAt    map[string]uint64
	reconciled map[types.NamespacedName]int
}

// New starts one that ends with the benchmark.
func New(b *testing.B, o Options) *Toy {
	b.Helper()
	t := &Toy{B: b, loop: o.Loop, asked: map[string]int{}, readyAt: map[string]uint64{}, reconciled: map[types.NamespacedName]int{}}
	memory.Pace(b.Context())
	t.Cluster = alltest.Start(b, alltest.Options{Request: t.request, Reconciled: t.looked})
	t.Journal = follow(b, t.Store)
	t.Machines(b, machines, t.ready)
	t.Until("the default account", func() bool {
		_, err := t.Client.CoreV1().ServiceAccounts("default").Get(b.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	t.service(o.ClusterIP)
	t.Journal.rest()
	return t
}

func (t *Toy) request(user string, r *http.Request) {
	if r.Method == http.MethodGet {
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if i := len(parts) - 1; parts[0] == "api" {
		parts = parts[2:]
	} else if i > 2 {
		parts = parts[3:]
	}
	if len(parts) > 1 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) > 1 {
		parts[1] = "*"
	}
	t.mu.Lock()
	t.asked[user[strings.LastIndexByte(user, ':')+1:]+" "+r.Method+" "+strings.Join(parts, "/")]++
	t.mu.Unlock()
}

func (t *Toy) looked(loop string, key types.NamespacedName) {
	if loop != t.loop {
		return
	}
	t.mu.Lock()
	t.reconciled[key]++
	t.mu.Unlock()
}

// Reconciled is how many objects were looked at since the last Forget.
func (t *Toy) Reconciled() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.reconciled)
}

// Forget begins to count reconciles anew.
func (t *Toy) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.reconciled)
}

func (t *Toy) ready(pod *corev1.Pod) {
	t.mu.Lock()
	t.readyAt[pod.Name] = revisionOf(pod.ResourceVersion)
	t.mu.Unlock()
}

// service is what all pods are selected by.
func (t *Toy) service(clusterIP string) {
	t.B.Helper()
	_, err := t.Client.CoreV1().Services("default").Create(t.B.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: clusterIP, Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
}

// Template is what the benchmarks' pods are made of.
func Template(labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "nginx", Image: "nginx:1.27", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80}},
		}}},
	}
}

// Restart is the patch that `kubectl rollout restart` sends.
func Restart() []byte {
	return []byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"` + time.Now().Format(time.RFC3339Nano) + `"}}}}}`)
}

// Await waits until so many objects satisfy ok, by a watch of them.
func Await[T metav1.Object](t *Toy, w watch.Interface, err error, what string, objects int, ok func(T) bool) {
	t.B.Helper()
	if err != nil {
		t.B.Fatal(err)
	}
	defer w.Stop()
	done := map[string]bool{}
	timeout := time.After(patience)
	for len(done) < objects {
		select {
		case event := <-w.ResultChan():
			if o, is := event.Object.(T); is && ok(o) {
				done[o.GetName()] = true
			}
		case <-timeout:
			lines, _ := tally(t.Journal.Since(0))
			t.B.Fatalf("%d of %d %s; written:\n%s", len(done), objects, what, strings.Join(lines, "\n"))
		}
	}
}

// Until waits.
func (t *Toy) Until(what string, ok func() bool) {
	t.B.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.B.Fatalf("waited in vain for %s", what)
		}
	}
}

// Events waits until so much has been said for each of these reasons, and
// checks that nothing was said twice.
func (t *Toy) Events(want map[string]int) {
	t.B.Helper()
	var got map[string]int
	all := func() bool {
		list, err := t.Client.CoreV1().Events("default").List(t.B.Context(), metav1.ListOptions{})
		if err != nil {
			t.B.Fatal(err)
		}
		got = map[string]int{}
		for i := range list.Items {
			got[list.Items[i].Reason] += int(list.Items[i].Count)
		}
		for reason, n := range want {
			if got[reason] < n {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(patience); !all(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.B.Fatalf("events %v, want %v", got, want)
		}
	}
	if !maps.Equal(got, want) {
		t.B.Errorf("events %v, want %v", got, want)
	}
}

func cpuSeconds() float64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
}

// HeapMB is what is live after a collection.
func HeapMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
