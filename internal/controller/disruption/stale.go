package disruption

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/disruption"
)

// StaleLoop declares the loop that takes DisruptionTarget from pods that stayed.
func StaleLoop() loop.Loop {
	return loop.Loop{
		Name: "stale-disruption", Source: source, User: User,
		Watches: []loop.Watch{{Kind: &corev1.Pod{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			if pod, ok := ev.New.(*corev1.Pod); ok {
				if targeted, _ := plan.Stale(pod, pod.CreationTimestamp.Time); targeted {
					return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(pod)}}
				}
			}
			return nil
		}}},
		New: func(env loop.Env) reconcile.Reconciler { return &cleaner{env} },
	}
}

type cleaner struct{ env loop.Env }

// Reconcile looks whether a pod that was to go has been left alone.
func (c *cleaner) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	now := c.env.Clock.Now()
	targeted, left := plan.Stale(pod, now)
	if !targeted || left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	pod = pod.DeepCopy()
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.DisruptionTarget {
			pod.Status.Conditions[i] = corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(now),
			}
		}
	}
	if err := c.env.Write.Status().Update(ctx, pod); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("take the stale condition DisruptionTarget from pod %s: %w", req, err)
	}
	return reconcile.Result{}, nil
}
