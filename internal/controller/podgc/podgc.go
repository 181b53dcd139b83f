// Package podgc removes pods that nobody else can: those of nodes that do not
// exist or are down for good, those that were deleted before they had a node,
// and the oldest of those that have ended when there are too many.
package podgc

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podend"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/nodelife"
	"berth.dev/berth/internal/plan/podready"
)

// quarantine is how long a node may be missing before its pods go: it may be
// registered again under the same name.
const quarantine = 40 * time.Second

// DefaultKept is how many pods that have ended are kept where nobody says
// another number.
const DefaultKept = 12500

// Loop returns the pod garbage collector. It keeps so many of the pods that have
// ended, all of them when kept is 0.
func Loop(kept int) loop.Loop {
	return loop.Loop{
		Name: "pod-garbage-collector",
		User: "system:serviceaccount:kube-system:pod-garbage-collector",
		Watches: []loop.Watch{
			{Kind: &corev1.Pod{}, Map: onPod},
			{Kind: &corev1.Node{}, Map: onNode},
		},
		Indexes: []loop.Index{podindex.ByNode(), podindex.ByEnd()},
		New: func(env loop.Env) reconcile.Reconciler {
			return &collector{env: env, kept: kept, missing: map[string]time.Time{}}
		},
	}
}

type collector struct {
	env loop.Env
	// missing says since when a node that pods name has been missing. One
	// worker, so no lock.
	missing map[string]time.Time
	kept    int
	counted time.Time // when the pods that have ended were counted last
}

// Reconcile decides on one pod, counts those that have ended, or learns that a
// node is there: the names of nodes have no namespace.
func (c *collector) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	switch {
	case req == tooMany:
		return c.count(ctx)
	case req.Namespace == "":
		return reconcile.Result{}, c.present(ctx, req.NamespacedName)
	}
	pod := &corev1.Pod{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if pod.Spec.NodeName == "" {
		if pod.DeletionTimestamp == nil {
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, c.remove(ctx, pod, "")
	}
	if out, err := outOfService(ctx, c.env.Cache, pod); err != nil {
		return reconcile.Result{}, err
	} else if out {
		return reconcile.Result{}, c.remove(ctx, pod, "")
	}
	wait, err := c.orphaned(ctx, pod.Spec.NodeName)
	if err != nil || wait != 0 {
		return reconcile.Result{RequeueAfter: max(wait, 0)}, err
	}
	return reconcile.Result{}, c.remove(ctx, pod, "PodGC: node no longer exists")
}

// present ends the quarantine of a node that is there: its next absence is
// another one.
func (c *collector) present(ctx context.Context, node types.NamespacedName) error {
	err := c.env.Cache.Get(ctx, node, &corev1.Node{})
	if err == nil {
		delete(c.missing, node.Name)
	}
	return client.IgnoreNotFound(err)
}

// orphaned is 0 when the node is gone for good, negative when it exists, else
// how long to wait.
func (c *collector) orphaned(ctx context.Context, node string) (time.Duration, error) {
	key := types.NamespacedName{Name: node}
	err := c.env.Cache.Get(ctx, key, &corev1.Node{})
	if !apierrors.IsNotFound(err) {
		delete(c.missing, node)
		return -1, err
	}
	since, known := c.missing[node]
	if !known {
		since = c.env.Clock.Now()
		c.missing[node] = since
	}
	if wait := since.Add(quarantine).Sub(c.env.Clock.Now()); wait > 0 {
		return wait, nil
	}
	if err := c.env.Live.Get(ctx, key, &corev1.Node{}); !apierrors.IsNotFound(err) {
		return -1, err
	}
	return 0, nil
}

// remove says in the pod's status that it ends, and why, and deletes it at once.
func (c *collector) remove(ctx context.Context, pod *corev1.Pod, why string) error {
	return podend.Delete(ctx, c.env, pod, nil, podend.Why{Reason: "DeletionByPodGC", Message: why})
}

func onPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pod, ok := ev.New.(*corev1.Pod)
	if !ok {
		return nil
	}
	all := onOnePod(ctx, read, pod)
	if old, _ := ev.Old.(*corev1.Pod); podready.Ended(pod) && (old == nil || !podready.Ended(old)) {
		all = append(all, tooMany)
	}
	return all
}

func onOnePod(ctx context.Context, read client.Reader, pod *corev1.Pod) []reconcile.Request {
	if pod.Spec.NodeName == "" {
		if pod.DeletionTimestamp == nil {
			return nil
		}
	} else if out, _ := outOfService(ctx, read, pod); !out {
		if err := read.Get(ctx, types.NamespacedName{Name: pod.Spec.NodeName}, &corev1.Node{}); !apierrors.IsNotFound(err) {
			return nil
		}
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(pod)}}
}

// outOfService reports whether the pod is to go, and its node, which is down for
// good, will not end it.
func outOfService(ctx context.Context, read client.Reader, pod *corev1.Pod) (bool, error) {
	if pod.DeletionTimestamp == nil {
		return false, nil
	}
	node := &corev1.Node{}
	if err := read.Get(ctx, types.NamespacedName{Name: pod.Spec.NodeName}, node); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return nodelife.OutOfService(node), nil
}

// onNode wakes the pods of a node that is gone, or down for good, and tells of a
// node that has come.
func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	now, _ := ev.New.(*corev1.Node)
	if now != nil && ev.Old == nil {
		return append(onOneNode(ctx, read, ev), reconcile.Request{NamespacedName: types.NamespacedName{Name: now.Name}})
	}
	return onOneNode(ctx, read, ev)
}

func onOneNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	now, _ := ev.New.(*corev1.Node)
	if old, _ := ev.Old.(*corev1.Node); now != nil && (!nodelife.OutOfService(now) || old != nil && nodelife.OutOfService(old)) {
		return nil
	}
	pods := &corev1.PodList{}
	if err := read.List(ctx, pods, client.MatchingFields{podindex.Node: ev.Object().GetName()}); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range pods.Items {
		if now != nil && pods.Items[i].DeletionTimestamp == nil {
			continue
		}
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pods.Items[i])})
	}
	return out
}
