package statefulset

import (
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/base/memory"
	"berth.dev/berth/internal/controller/all/alltest"
)

const (
	machines   = 10
	toyTimeout = 2 * time.Minute
)

// toy is the real control plane with toy nodes, and what is seen of it.
type toy struct {
	*alltest.Cluster
	b       *testing.B
	journal *journal

	mu        sync.Mutex
	asked     map[string]int // requests that write, by who, verb and what
	readyAt   map[string]uint64
	reconcile map[types.NamespacedName]int // of sets
}

func newToy(b *testing.B) *toy {
	b.Helper()
	t := &toy{b: b, asked: map[string]int{}, readyAt: map[string]uint64{}, reconcile: map[types.NamespacedName]int{}}
	memory.Pace(b.Context())
	t.Cluster = alltest.Start(b, alltest.Options{Request: t.request, Reconciled: t.reconciled})
	t.journal = follow(b, t.Store)
	t.Machines(b, machines, t.ready)
	t.until("the default account", func() bool {
		_, err := t.Client.CoreV1().ServiceAccounts("default").Get(b.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	t.service()
	t.journal.rest()
	return t
}

func (t *toy) request(user string, r *http.Request) {
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

func (t *toy) reconciled(loop string, key types.NamespacedName) {
	if loop != "statefulset" {
		return
	}
	t.mu.Lock()
	t.reconcile[key]++
	t.mu.Unlock()
}

func (t *toy) ready(pod *corev1.Pod) {
	t.mu.Lock()
	t.readyAt[pod.Name] = revisionOf(pod.ResourceVersion)
	t.mu.Unlock()
}

// service is what the sets' pods are selected by.
func (t *toy) service() {
	t.b.Helper()
	_, err := t.Client.CoreV1().Services("default").Create(t.b.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "web"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.b.Fatal(err)
	}
}

func (t *toy) create(name string, replicas int32, policy appsv1.PodManagementPolicyType) {
	t.b.Helper()
	labels := map[string]string{"app": "web", "set": name}
	_, err := t.Client.AppsV1().StatefulSets("default").Create(t.b.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To(replicas), ServiceName: "web", PodManagementPolicy: policy,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "nginx", Image: "nginx:1.27", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80}},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.b.Fatal(err)
	}
}

// await waits until all sets satisfy ok, by watching them.
func (t *toy) await(what string, sets int, ok func(*appsv1.StatefulSet) bool) {
	t.b.Helper()
	w, err := t.Client.AppsV1().StatefulSets("default").Watch(t.b.Context(), metav1.ListOptions{})
	if err != nil {
		t.b.Fatal(err)
	}
	defer w.Stop()
	done := map[string]bool{}
	timeout := time.After(toyTimeout)
	for len(done) < sets {
		select {
		case event := <-w.ResultChan():
			if set, isSet := event.Object.(*appsv1.StatefulSet); isSet && ok(set) {
				done[set.Name] = true
			}
		case <-timeout:
			lines, _, _ := tally(t.journal.since(0))
			t.b.Fatalf("%d of %d sets %s; written:\n%s", len(done), sets, what, strings.Join(lines, "\n"))
		}
	}
}

func allReady(set *appsv1.StatefulSet) bool { return set.Status.ReadyReplicas == *set.Spec.Replicas }

func rolled(set *appsv1.StatefulSet) bool {
	s := &set.Status
	return s.ObservedGeneration == set.Generation && s.CurrentRevision == s.UpdateRevision &&
		s.UpdatedReplicas == *set.Spec.Replicas && s.ReadyReplicas == *set.Spec.Replicas
}

// deleteAll deletes the sets and waits until nothing of them is left.
func (t *toy) deleteAll() {
	t.b.Helper()
	err := t.Client.AppsV1().StatefulSets("default").DeleteCollection(t.b.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		t.b.Fatal(err)
	}
	t.until("the sets and their pods to go", func() bool {
		return t.journal.count("pods/")+t.journal.count("statefulsets/")+t.journal.count("controllerrevisions/") == 0
	})
}

func (t *toy) until(what string, ok func() bool) {
	t.b.Helper()
	for deadline := time.Now().Add(toyTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.b.Fatalf("waited in vain for %s", what)
		}
	}
}

// restartSet begins a rollout as `kubectl rollout restart` does.
func (t *toy) restartSet(name string) {
	t.b.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339))
	_, err := t.Client.AppsV1().StatefulSets("default").Patch(t.b.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.b.Fatal(err)
	}
}

// events waits until so much has been said for each of these reasons, and
// checks that nothing was said twice.
func (t *toy) events(want map[string]int) {
	t.b.Helper()
	var got map[string]int
	all := func() bool {
		list, err := t.Client.CoreV1().Events("default").List(t.b.Context(), metav1.ListOptions{})
		if err != nil {
			t.b.Fatal(err)
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
	for deadline := time.Now().Add(toyTimeout); !all(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.b.Fatalf("events %v, want %v", got, want)
		}
	}
	if !maps.Equal(got, want) {
		t.b.Errorf("events %v, want %v", got, want)
	}
}

func cpuSeconds() float64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
}

// heapMB is what is live after a collection.
func heapMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
