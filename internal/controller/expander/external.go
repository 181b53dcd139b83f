package expander

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
)

// External returns the loop that tells of claims which wait for a storage driver's
// resizer to make more room. It writes nothing else.
func External() loop.Loop {
	return loop.Loop{
		Name:    "volume-expand",
		Source:  "volume_expand",
		User:    "system:serviceaccount:kube-system:expand-controller",
		Workers: 1,
		Watches: []loop.Watch{
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onGrowth},
			{Kind: &corev1.PersistentVolume{}, Map: onNothing},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &external{env: env} },
	}
}

type external struct{ env loop.Env }

// Reconcile tells of one claim that has just asked for more.
func (e *external) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if err := e.env.Cache.Get(ctx, req.NamespacedName, claim); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if err := e.env.Cache.Get(ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, pv); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if volume.ExpandsElsewhere(claim, pv) {
		e.env.Events.Event(claim, corev1.EventTypeNormal, "ExternalExpanding", "waiting for an external controller to expand this PVC")
	}
	return reconcile.Result{}, nil
}

// onGrowth wakes a claim when it asks for more than it did, or is first seen.
func onGrowth(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	claim, ok := ev.New.(*corev1.PersistentVolumeClaim)
	if !ok || claim.Spec.VolumeName == "" {
		return nil
	}
	if old, ok := ev.Old.(*corev1.PersistentVolumeClaim); ok {
		asked, asks := old.Spec.Resources.Requests[corev1.ResourceStorage], claim.Spec.Resources.Requests[corev1.ResourceStorage]
		if asks.Cmp(asked) <= 0 {
			return nil
		}
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(claim)}}
}

// onNothing is for what is only read.
func onNothing(context.Context, client.Reader, loop.Event) []reconcile.Request { return nil }
