// Package nodeloss replaces pods of StatefulSets that ask for it when their node
// is lost and its fence has stopped them, around plan/nodeloss. It tells the pods'
// nodes of the wish by an annotation of theirs.
package nodeloss

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podend"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/nodelife"
	"berth.dev/berth/internal/plan/nodeloss"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// Loop returns the loop. Its keys are pods, and nodes, which have no namespace.
func Loop() loop.Loop {
	return loop.Loop{
		Name: "node-loss",
		User: "system:serviceaccount:kube-system:node-loss-controller",
		Watches: []loop.Watch{
			{Kind: &corev1.Pod{}, Map: onPod},
			{Kind: &appsv1.StatefulSet{}, Map: onSet},
			{Kind: &corev1.Node{}, Map: onNode},
			{Kind: &coordinationv1.Lease{}, Map: onLease},
		},
		Indexes: []loop.Index{podindex.ByNode(), loop.ByOwner(&corev1.Pod{})},
		New: func(env loop.Env) reconcile.Reconciler {
			return &controller{env: env, heard: map[string]renewal{}}
		},
	}
}

type controller struct {
	env loop.Env

	mu    sync.Mutex
	heard map[string]renewal // by node
}

// renewal is the last one of a node's lease, and when it was noticed.
type renewal struct {
	of *coordinationv1.Lease
	at time.Time
}

// Reconcile decides on one pod, or on those of a node.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace != "" {
		pod := &corev1.Pod{}
		if err := c.env.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		again, err := c.pod(ctx, pod)
		return reconcile.Result{RequeueAfter: again}, err
	}
	node := &corev1.Node{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, node); err != nil {
		if apierrors.IsNotFound(err) {
			c.mu.Lock()
			delete(c.heard, req.Name)
			c.mu.Unlock()
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if _, err := c.listen(ctx, c.env.Cache, node.Name); err != nil {
		return reconcile.Result{}, err
	}
	pods, err := loop.List[*corev1.Pod](ctx, c.env.Cache, &corev1.PodList{}, client.MatchingFields{podindex.Node: node.Name})
	if err != nil {
		return reconcile.Result{}, err
	}
	lost := nodelife.Ready(node.Status.Conditions) == corev1.ConditionUnknown
	var soonest time.Duration
	for _, pod := range pods {
		if !lost && nodeloss.Said(pod) == nil {
			continue
		}
		again, err := c.pod(ctx, pod)
		if err != nil {
			return reconcile.Result{}, err
		}
		soonest = loop.Sooner(soonest, again)
	}
	return reconcile.Result{RequeueAfter: soonest}, nil
}

// listen notes the node's last renewal.
func (c *controller) listen(ctx context.Context, read client.Reader, node string) (renewal, error) {
	lease := &coordinationv1.Lease{}
	err := read.Get(ctx, types.NamespacedName{Namespace: corev1.NamespaceNodeLease, Name: node}, lease)
	if err != nil {
		return renewal{}, client.IgnoreNotFound(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.heard[node]
	if known && last.of.UID == lease.UID && last.of.Spec.RenewTime.Equal(lease.Spec.RenewTime) &&
		last.of.Annotations[nodeloss.LeaseAnnotation] == lease.Annotations[nodeloss.LeaseAnnotation] {
		return last, nil
	}
	last = renewal{lease, c.env.Clock.Now()}
	c.heard[node] = last
	return last, nil
}

// pod decides on one pod of a StatefulSet, and says when to look again.
func (c *controller) pod(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	s := nodeloss.State{Pod: pod}
	var err error
	if s.Wanted, err = c.wanted(ctx, pod); err != nil {
		return 0, err
	}
	if !s.Wanted && !nodeloss.Marked(pod) && nodeloss.Said(pod) == nil {
		return 0, nil
	}
	if pod.Spec.NodeName != "" {
		node := &corev1.Node{}
		if err := c.env.Cache.Get(ctx, types.NamespacedName{Name: pod.Spec.NodeName}, node); err == nil {
			s.Node = node
		} else if !apierrors.IsNotFound(err) {
			return 0, err
		}
	}
	var plan nodeloss.Plan
	for _, read := range []client.Reader{c.env.Cache, c.env.Live} {
		if s.Node != nil {
			last, err := c.listen(ctx, read, s.Node.Name)
			if err != nil {
				return 0, err
			}
			s.Promise, s.Heard = nodeloss.Read(last.of), last.at
		}
		s.Now = c.env.Clock.Now()
		if plan = nodeloss.Decide(s); !plan.Replace {
			break // a renewal that the cache has not seen is looked for before the end
		}
	}
	return plan.Again, c.apply(ctx, pod, plan)
}

// wanted reports whether the pod's set asks for it.
func (c *controller) wanted(ctx context.Context, pod *corev1.Pod) (bool, error) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind != "StatefulSet" {
		return false, nil
	}
	set := &appsv1.StatefulSet{}
	if err := c.env.Cache.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: owner.Name}, set); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return set.UID == owner.UID && nodeloss.Wanted(set.Annotations), nil
}

func (c *controller) apply(ctx context.Context, pod *corev1.Pod, plan nodeloss.Plan) error {
	if plan.Mark || plan.Unmark {
		changed := pod.DeepCopy()
		if plan.Mark {
			metav1.SetMetaDataAnnotation(&changed.ObjectMeta, options.NodeLoss, options.Replace)
		} else {
			delete(changed.Annotations, options.NodeLoss)
		}
		before := client.MergeFromWithOptions(pod, client.MergeFromWithOptimisticLock{})
		if err := c.env.Write.Patch(ctx, changed, before); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("tell pod %s/%s what is to become of it should its node be lost: %w", pod.Namespace, pod.Name, err))
		}
		pod = changed
	}
	latest := pod.DeepCopy()
	said := nodeloss.Say(latest, plan.Condition, c.env.Clock.Now())
	if plan.Replace {
		c.env.Events.Event(pod, corev1.EventTypeNormal, "ReplacingLostPod", plan.Condition.Message)
		return podend.Delete(ctx, c.env, pod, latest, podend.Why{Reason: "DeletionByNodeLoss", Message: plan.Condition.Message})
	}
	if !said {
		return nil
	}
	before := client.StrategicMergeFrom(pod, client.MergeFromWithOptimisticLock{})
	if err := c.env.Write.Status().Patch(ctx, latest, before); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("say what becomes of pod %s/%s: %w", pod.Namespace, pod.Name, err))
	}
	if plan.Condition != nil && plan.Condition.Status == corev1.ConditionFalse {
		c.env.Events.Event(pod, corev1.EventTypeWarning, "NotReplaced", plan.Condition.Message)
	}
	return nil
}

func onPod(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*corev1.Pod)
	now, _ := ev.New.(*corev1.Pod)
	if now == nil || old != nil && old.Spec.NodeName == now.Spec.NodeName && nodeloss.Marked(old) == nodeloss.Marked(now) {
		return nil
	}
	if owner := metav1.GetControllerOfNoCopy(now); owner == nil || owner.Kind != "StatefulSet" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(now)}}
}

// onSet wakes the pods of a set that changes its wish.
func onSet(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	old, now := false, false
	if ev.Old != nil {
		old = nodeloss.Wanted(ev.Old.GetAnnotations())
	}
	if ev.New != nil {
		now = nodeloss.Wanted(ev.New.GetAnnotations())
	}
	if old == now {
		return nil
	}
	pods, err := loop.List[*corev1.Pod](ctx, read, &corev1.PodList{}, client.MatchingFields{loop.OwnerUID: string(ev.Object().GetUID())})
	if err != nil {
		return nil
	}
	out := make([]reconcile.Request, len(pods))
	for i, pod := range pods {
		out[i].NamespacedName = client.ObjectKeyFromObject(pod)
	}
	return out
}

// onNode wakes a node that is lost, found, or gone.
func onNode(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*corev1.Node)
	now, _ := ev.New.(*corev1.Node)
	if old != nil && now != nil && nodelife.Ready(old.Status.Conditions) == nodelife.Ready(now.Status.Conditions) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ev.Object().GetName()}}}
}

// onLease notes every renewal that promises something, or ceases to.
func onLease(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil || ev.New.GetNamespace() != corev1.NamespaceNodeLease {
		return nil
	}
	if ev.New.GetAnnotations()[nodeloss.LeaseAnnotation] == "" && (ev.Old == nil || ev.Old.GetAnnotations()[nodeloss.LeaseAnnotation] == "") {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ev.New.GetName()}}}
}
