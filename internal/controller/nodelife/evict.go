package nodelife

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/disruption"
	"berth.dev/berth/internal/plan/nodelife"
)

// EvictionLoop returns the loop that deletes pods which do not tolerate, or no
// longer tolerate, a NoExecute taint of their node. Its keys are pods.
func EvictionLoop() loop.Loop {
	return loop.Loop{
		Name: "taint-eviction", Source: "taint-eviction-controller",
		User: "system:serviceaccount:kube-system:node-controller", Workers: 4,
		Watches: []loop.Watch{
			{Kind: &corev1.Node{}, Map: podsOfTaintedNode},
			{Kind: &corev1.Pod{}, Map: podOnTaintedNode},
		},
		Indexes: []loop.Index{podindex.ByNode()},
		New: func(env loop.Env) reconcile.Reconciler {
			return &evictor{env: env, seen: map[types.NamespacedName]limited{}}
		},
	}
}

type evictor struct {
	env loop.Env

	mu   sync.Mutex
	seen map[types.NamespacedName]limited
}

// limited is a pod that may stay for some time, and since when that runs.
type limited struct {
	uid   types.UID
	since time.Time
}

// Reconcile decides on one pod.
func (e *evictor) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := req.NamespacedName
	pod := &corev1.Pod{}
	if err := e.env.Cache.Get(ctx, key, pod); err != nil || pod.DeletionTimestamp != nil || pod.Spec.NodeName == "" {
		e.forget(key)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	for _, read := range []client.Reader{e.env.Cache, e.env.Live} {
		node := &corev1.Node{}
		if err := read.Get(ctx, types.NamespacedName{Name: pod.Spec.NodeName}, node); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err) // its pods are the pod collector's
		}
		limit, forever := nodelife.Stay(pod.Spec.Tolerations, node.Spec.Taints)
		if forever {
			if e.forget(key) {
				e.env.Events.Event(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Cancelling deletion of Pod "+key.String())
			}
			return reconcile.Result{}, nil
		}
		if left := e.since(key, pod.UID).Add(limit).Sub(e.env.Clock.Now()); left > 0 {
			return reconcile.Result{RequeueAfter: left}, nil
		}
	}
	if err := e.evict(ctx, pod); err != nil {
		return reconcile.Result{}, fmt.Errorf("delete pod %s, whose node is tainted: %w", key, err)
	}
	e.forget(key)
	return reconcile.Result{}, nil
}

func (e *evictor) evict(ctx context.Context, pod *corev1.Pod) error {
	e.env.Events.Event(pod, corev1.EventTypeNormal, "TaintManagerEviction", fmt.Sprintf("Marking for deletion Pod %s/%s", pod.Namespace, pod.Name))
	marked := pod.DeepCopy()
	disruption.Target(marked, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", e.env.Clock.Now())
	if !equality.Semantic.DeepEqual(pod.Status, marked.Status) {
		before := client.StrategicMergeFrom(pod, client.MergeFromWithOptimisticLock{})
		if err := e.env.Write.Status().Patch(ctx, marked, before); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	// When another one has its name by now, the cache will say so by the next try.
	err := e.env.Write.Delete(ctx, marked, client.Preconditions{UID: &pod.UID})
	return client.IgnoreNotFound(err)
}

// since is when the pod's time began to run.
func (e *evictor) since(key types.NamespacedName, uid types.UID) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known, ok := e.seen[key]; ok && known.uid == uid {
		return known.since
	}
	now := e.env.Clock.Now()
	e.seen[key] = limited{uid, now}
	return now
}

// forget reports whether the pod's time was running.
func (e *evictor) forget(key types.NamespacedName) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.seen[key]
	delete(e.seen, key)
	return ok
}

// driving are the node's taints that drive pods out.
func driving(node *corev1.Node) []corev1.Taint {
	if node == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(node.Spec.Taints), func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectNoExecute })
}

func podsOfTaintedNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*corev1.Node)
	now, _ := ev.New.(*corev1.Node)
	if now == nil || equality.Semantic.DeepEqual(driving(old), driving(now)) {
		return nil
	}
	pods, err := loop.List[*corev1.Pod](ctx, read, &corev1.PodList{}, client.MatchingFields{podindex.Node: now.Name})
	if err != nil {
		return nil
	}
	out := make([]reconcile.Request, len(pods))
	for i, pod := range pods {
		out[i].NamespacedName = client.ObjectKeyFromObject(pod)
	}
	return out
}

// podOnTaintedNode wakes a pod that comes to a tainted node, tolerates something
// else, or is gone.
func podOnTaintedNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*corev1.Pod)
	now, _ := ev.New.(*corev1.Pod)
	if now == nil || now.Spec.NodeName == "" || old != nil && old.UID == now.UID && old.Spec.NodeName == now.Spec.NodeName &&
		len(old.Spec.Tolerations) == len(now.Spec.Tolerations) && (old.DeletionTimestamp == nil) == (now.DeletionTimestamp == nil) {
		return nil
	}
	node := &corev1.Node{}
	if err := read.Get(ctx, types.NamespacedName{Name: now.Spec.NodeName}, node); err != nil || len(driving(node)) == 0 {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(now)}}
}
