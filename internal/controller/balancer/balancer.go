// Package balancer gives Services of type LoadBalancer an address of a pool,
// which the service proxies of all nodes then answer for. Which address is
// decided by internal/plan/balancer.
package balancer

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/balancer"
)

// Loop returns the loop. One worker: no address is given out twice.
func Loop(pool balancer.Pool) loop.Loop {
	return loop.Loop{
		Name:    "service",
		Source:  "service-controller",
		User:    "system:serviceaccount:kube-system:service-controller",
		Watches: []loop.Watch{{Kind: &corev1.Service{}, Map: onService}},
		New:     func(env loop.Env) reconcile.Reconciler { return &controller{env, pool} },
	}
}

type controller struct {
	env  loop.Env
	pool balancer.Pool
}

// Reconcile gives one Service what it should have. It reads the API server
// itself: the cache may not know yet what was given out a moment ago.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	cached := &corev1.Service{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, cached); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !balancer.Wants(cached) && len(c.pool.Held(cached)) == 0 {
		return reconcile.Result{}, nil
	}
	all := &corev1.ServiceList{}
	if err := c.env.Live.List(ctx, all); err != nil {
		return reconcile.Result{}, fmt.Errorf("list services: %w", err)
	}
	var svc *corev1.Service
	taken := map[netip.Addr]string{}
	for i := range all.Items {
		s := &all.Items[i]
		if s.Namespace == req.Namespace && s.Name == req.Name {
			svc = s
			continue
		}
		for _, a := range c.pool.Held(s) {
			taken[a] = s.Namespace + "/" + s.Name
		}
	}
	if svc == nil {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, c.give(ctx, svc, taken)
}

func (c *controller) give(ctx context.Context, svc *corev1.Service, taken map[netip.Addr]string) error {
	var ingress []corev1.LoadBalancerIngress
	switch {
	case balancer.Wants(svc):
		var err error
		if ingress, err = balancer.Decide(svc, c.pool, taken); err != nil {
			// Looked at again when a Service changes; nothing else helps.
			c.env.Events.Event(svc, corev1.EventTypeWarning, "SyncLoadBalancerFailed", "Error syncing load balancer: failed to ensure load balancer: "+err.Error())
			if svc.Spec.LoadBalancerIP == "" {
				return nil // what it has is better than nothing
			}
		}
	case svc.DeletionTimestamp != nil || len(c.pool.Held(svc)) == 0:
		return nil
	}
	if equality.Semantic.DeepEqual(svc.Status.LoadBalancer.Ingress, ingress) {
		return nil
	}
	svc.Status.LoadBalancer.Ingress = ingress
	if err := c.env.Write.Status().Update(ctx, svc); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("status of service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	if len(ingress) > 0 {
		c.env.Events.Event(svc, corev1.EventTypeNormal, "EnsuredLoadBalancer", "Ensured load balancer")
	}
	return nil
}

// onService wakes the Service, and all that wait for an address when it may
// have left one.
func onService(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	var out []reconcile.Request
	before, _ := ev.Old.(*corev1.Service)
	after, _ := ev.New.(*corev1.Service)
	if after != nil {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(after)})
	}
	if before == nil || len(before.Status.LoadBalancer.Ingress) == 0 ||
		after != nil && equality.Semantic.DeepEqual(before.Status.LoadBalancer, after.Status.LoadBalancer) {
		return out
	}
	all, err := loop.List[*corev1.Service](ctx, read, &corev1.ServiceList{})
	if err != nil {
		return out
	}
	for _, svc := range all {
		if balancer.Wants(svc) && len(svc.Status.LoadBalancer.Ingress) == 0 {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(svc)})
		}
	}
	return out
}
