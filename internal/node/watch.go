package node

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/plan/staticpod"
)

// informers watch the pods of this node and the services whose variables
// containers get.
func (a *Agent) informers() (pods, services cache.Controller) {
	client := a.cfg.Client.CoreV1()
	mine := fields.OneTermEqualSelector("spec.nodeName", a.cfg.NodeName).String()
	_, pods = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.FieldSelector = mine
				return client.Pods("").List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.FieldSelector = mine
				return client.Pods("").Watch(ctx, o)
			},
		}, a.cfg.Client),
		ObjectType: &corev1.Pod{},
		Transform:  dropManagedFields,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { a.podChanged(o.(*corev1.Pod)) },
			UpdateFunc: func(_, o any) { a.podChanged(o.(*corev1.Pod)) },
			DeleteFunc: func(o any) {
				if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = gone.Obj
				}
				if pod, ok := o.(*corev1.Pod); ok {
					a.podGone(pod)
				}
			},
		},
	})
	a.services, services = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return client.Services("").List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return client.Services("").Watch(ctx, o)
			},
		}, a.cfg.Client),
		ObjectType: &corev1.Service{},
		Transform:  bareService,
		Handler:    cache.ResourceEventHandlerFuncs{},
	})
	return pods, services
}

func dropManagedFields(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return o, nil
}

// bareService keeps what variables are made of.
func bareService(o any) (any, error) {
	s, ok := o.(*corev1.Service)
	if !ok {
		return o, nil
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion},
		Spec:       corev1.ServiceSpec{ClusterIP: s.Spec.ClusterIP, Ports: s.Spec.Ports},
	}, nil
}

func (a *Agent) podChanged(pod *corev1.Pod) {
	if pod.Spec.NodeName != a.cfg.NodeName {
		return
	}
	if staticpod.IsMirror(pod) {
		a.mirrorChanged(pod)
		return
	}
	w := a.worker(pod.UID, pod)
	w.setPod(pod)
	a.mu.Lock()
	synced := a.synced
	a.mu.Unlock()
	if synced && !w.looked() {
		a.admit(w, pod)
	}
}

func (a *Agent) podGone(pod *corev1.Pod) {
	if staticpod.IsMirror(pod) {
		a.mirrorGone(pod)
		return
	}
	if w := a.find(pod.UID); w != nil {
		w.setAbsent(pod)
	}
}

func (a *Agent) find(uid types.UID) *worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.workers[uid]
}

func (a *Agent) all() []*worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.workers))
}

// worker returns the pod's worker and starts one if there is none.
func (a *Agent) worker(uid types.UID, about *corev1.Pod) *worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.workers[uid]
	if w == nil {
		w = newWorker(a, uid, about)
		a.workers[uid] = w
		a.ops.Go(w.run)
	}
	return w
}

// drop forgets a worker whose pod is over.
func (a *Agent) drop(w *worker) {
	w.uncount() // before another may have its UID
	a.mu.Lock()
	if a.workers[w.uid] == w {
		delete(a.workers, w.uid)
	}
	a.mu.Unlock()
	a.overStatic()
}

// adopt is called when the API's pods are known: what runs and has no pod is
// an orphan and has to end.
func (a *Agent) adopt() {
	a.mu.Lock()
	a.synced = true
	a.mu.Unlock()
	a.placeStatic()
	a.adoptPorts()
	a.admitAll()
	for _, w := range a.all() {
		w.orphaned()
	}
}

// Knows tells whether the agent looks after a pod, also one that only the
// runtime still has.
func (a *Agent) Knows(uid types.UID) bool { return a.find(uid) != nil }

// Ending is closed once a pod is to end, or is none of the node's; it is nil as
// long as that is not known.
func (a *Agent) Ending(uid types.UID) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.workers[uid]; w != nil {
		return w.going.Done()
	}
	if !a.synced {
		return nil
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

// Pods returns the pods of this node with their latest status.
func (a *Agent) Pods() []*corev1.Pod {
	var out []*corev1.Pod
	for _, w := range a.all() {
		if pod := w.latest(); pod != nil {
			out = append(out, pod)
		}
	}
	return out
}
