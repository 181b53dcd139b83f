// Package nodelife watches over nodes, around plan/nodelife: a node whose
// lease is not renewed becomes Unknown, its taints follow its conditions, and
// the pods of a node that is not Ready stop counting as ready. Its second loop
// drives pods out that do not tolerate a NoExecute taint.
package nodelife

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/nodelife"
)

// Loop returns the node lifecycle loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:   "node-lifecycle",
		Source: "node-controller",
		User:   "system:serviceaccount:kube-system:node-controller",
		Watches: []loop.Watch{
			{Kind: &corev1.Node{}, Map: onNode},
			{Kind: &coordinationv1.Lease{}, Map: onLease},
			{Kind: &corev1.Pod{}},
		},
		Indexes: []loop.Index{podindex.ByNode()},
		New: func(env loop.Env) reconcile.Reconciler {
			return &controller{env: env, signs: map[types.UID]sign{}, drained: map[string]time.Time{}}
		},
	}
}

type controller struct {
	env loop.Env

	mu    sync.Mutex
	signs map[types.UID]sign
	// drained is when pods were last driven from a node of a zone.
	drained map[string]time.Time
}

// sign is the last sign of life of a node and when it was noticed: a renewed
// lease, or a status that the node itself has written.
type sign struct {
	renewed      time.Time
	ready        corev1.NodeCondition
	heard, known time.Time
}

// Reconcile looks at one node.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	node := &corev1.Node{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, node); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	now := c.env.Clock.Now()
	s, err := c.listen(ctx, node, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	all, err := loop.List[*corev1.Node](ctx, c.env.Cache, &corev1.NodeList{})
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := nodelife.Decide(nodelife.State{Node: node, Heard: s.heard, Known: s.known, Nodes: all, Drained: c.last(node), Now: now})
	if err := c.apply(ctx, node, plan); err != nil {
		return reconcile.Result{}, err
	}
	if nodelife.Ready(node.Status.Conditions) != corev1.ConditionTrue || plan.Lost {
		if err := c.markPods(ctx, node, plan.Lost); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{RequeueAfter: plan.Again}, nil
}

// listen notes when the node was last seen to renew its lease or to report.
func (c *controller) listen(ctx context.Context, node *corev1.Node, now time.Time) (sign, error) {
	lease := &coordinationv1.Lease{}
	err := c.env.Cache.Get(ctx, types.NamespacedName{Namespace: corev1.NamespaceNodeLease, Name: node.Name}, lease)
	if err != nil && !apierrors.IsNotFound(err) {
		return sign{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, known := c.signs[node.UID]
	if !known {
		s.known = now
	}
	if err == nil && lease.Spec.RenewTime != nil && !lease.Spec.RenewTime.Time.Equal(s.renewed) {
		s.renewed, s.heard = lease.Spec.RenewTime.Time, now
	}
	for _, cond := range node.Status.Conditions {
		// Unknown is our own word about it.
		if cond.Type == corev1.NodeReady && cond.Status != corev1.ConditionUnknown && cond != s.ready {
			s.ready, s.heard = cond, now
		}
	}
	c.signs[node.UID] = s
	return s, nil
}

func (c *controller) apply(ctx context.Context, node *corev1.Node, plan nodelife.Plan) error {
	latest := node.DeepCopy()
	if plan.Lost {
		latest.Status.Conditions = plan.Conditions
		if err := c.env.Write.Status().Update(ctx, latest); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("update the status of node %s: %w", node.Name, err))
		}
		c.env.Events.Event(node, corev1.EventTypeNormal, "NodeNotReady", fmt.Sprintf("Node %s status is now: NodeNotReady", node.Name))
	}
	if plan.SetTaints {
		latest.Spec.Taints = plan.Taints
		if err := c.env.Write.Update(ctx, latest); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("update the taints of node %s: %w", node.Name, err))
		}
		if plan.Drains {
			c.drains(node)
		}
	}
	return nil
}

// last is when pods were last driven from a node of the node's zone.
func (c *controller) last(node *corev1.Node) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drained[nodelife.ZoneOf(node)]
}

func (c *controller) drains(node *corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained[nodelife.ZoneOf(node)] = c.env.Clock.Now()
}

// markPods takes the pods of a node that cannot speak for them out of service.
func (c *controller) markPods(ctx context.Context, node *corev1.Node, lost bool) error {
	if !lost && nodelife.Ready(node.Status.Conditions) != corev1.ConditionUnknown {
		return nil // the node itself says how its pods are
	}
	pods := &corev1.PodList{}
	if err := c.env.Cache.List(ctx, pods, client.MatchingFields{podindex.Node: node.Name}); err != nil {
		return err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		j := slices.IndexFunc(pod.Status.Conditions, func(cond corev1.PodCondition) bool { return cond.Type == corev1.PodReady })
		if j < 0 || pod.Status.Conditions[j].Status != corev1.ConditionTrue {
			continue
		}
		changed := pod.DeepCopy()
		changed.Status.Conditions[j].Status = corev1.ConditionFalse
		changed.Status.Conditions[j].LastTransitionTime = metav1.NewTime(c.env.Clock.Now())
		if err := c.env.Write.Status().Update(ctx, changed); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("mark pod %s/%s of silent node %s: %w", pod.Namespace, pod.Name, node.Name, err)
		}
		c.env.Events.Event(pod, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	}
	return nil
}

// onNode leaves out heartbeats that say nothing new. Whether a node is ready, is
// there, and in which zone, means something to those that are not ready.
func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*corev1.Node)
	now, _ := ev.New.(*corev1.Node)
	stays := old != nil && now != nil && nodelife.ZoneOf(old) == nodelife.ZoneOf(now)
	if stays && equality.Semantic.DeepEqual(old.Spec, now.Spec) && sameConditions(old, now) {
		return nil
	}
	var out []reconcile.Request
	if now != nil {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: now.Name}})
	}
	if stays && readyNow(old) == readyNow(now) {
		return out
	}
	all, err := loop.List[*corev1.Node](ctx, read, &corev1.NodeList{})
	if err != nil {
		return out
	}
	for _, other := range all {
		if !readyNow(other) && other.Name != ev.Object().GetName() {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: other.Name}})
		}
	}
	return out
}

func readyNow(node *corev1.Node) bool {
	return node != nil && nodelife.Ready(node.Status.Conditions) == corev1.ConditionTrue
}

func sameConditions(a, b *corev1.Node) bool {
	return slices.EqualFunc(a.Status.Conditions, b.Status.Conditions, func(x, y corev1.NodeCondition) bool {
		return x.Type == y.Type && x.Status == y.Status
	})
}

// onLease notes every renewal: without it silence would be measured from the
// last look. It reads the cache only.
func onLease(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil || ev.New.GetNamespace() != corev1.NamespaceNodeLease {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ev.New.GetName()}}}
}
