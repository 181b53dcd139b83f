package node

import (
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// watcher sees what becomes of pods, as a client does.
type watcher struct {
	client *kubernetes.Clientset
	b      *testing.B

	mu  sync.Mutex
	see func(seen)
}

// seen is one change of a pod.
type seen struct {
	*corev1.Pod
	deleted bool
}

func watch(b *testing.B, client *kubernetes.Clientset) *watcher {
	b.Helper()
	w := &watcher{client: client, b: b}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { w.tell(obj, false) },
		UpdateFunc: func(_, obj any) { w.tell(obj, false) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			w.tell(obj, true)
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	factory.Start(b.Context().Done())
	b.Cleanup(factory.Shutdown)
	if !cache.WaitForCacheSync(b.Context().Done(), pods.HasSynced) {
		b.Fatal("the pods cannot be listed")
	}
	return w
}

func (w *watcher) tell(obj any, deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p, ok := obj.(*corev1.Pod); ok && w.see != nil {
		w.see(seen{p, deleted})
	}
}

// patience is how long anything may take before the benchmark gives up.
const patience = 3 * time.Minute

// await does something and waits until n pods were seen so since then; it
// returns how long each took.
func (w *watcher) await(n int, do func() error, so func(seen) bool) []time.Duration {
	w.b.Helper()
	done := make(chan struct{})
	var took []time.Duration
	were := map[string]bool{}
	began := time.Now()
	w.mu.Lock()
	w.see = func(p seen) {
		if len(took) == n || were[string(p.UID)] || !so(p) {
			return
		}
		were[string(p.UID)] = true
		if took = append(took, time.Since(began)); len(took) == n {
			close(done)
		}
	}
	w.mu.Unlock()
	if err := do(); err != nil {
		w.b.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(patience):
		w.b.Fatalf("after %s not all of %d pods", patience, n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.see = nil
	return took
}

func running(p seen) bool { return !p.deleted && p.Status.Phase == corev1.PodRunning }

func ready(p seen) bool {
	return !p.deleted && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func gone(p seen) bool { return p.deleted }

func restarted(p seen) bool {
	return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount > 0 && p.Status.ContainerStatuses[0].State.Running != nil
}
