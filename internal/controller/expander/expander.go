// Package expander makes volumes of the local provisioner larger when their
// claims ask for more, around plan/volume. It only writes objects: the node
// makes the room.
package expander

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
)

// Loop returns the loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "local-resizer",
		Source:  volume.LocalProvisioner,
		User:    "system:serviceaccount:kube-system:expand-controller",
		Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
			{Kind: &corev1.PersistentVolume{}, Map: onVolume},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &expander{env: env} },
	}
}

type expander struct{ env loop.Env }

// Reconcile takes one claim a step further.
func (e *expander) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := e.env.Cache.Get(ctx, req.NamespacedName, claim); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	pv := &corev1.PersistentVolume{}
	if err := e.env.Cache.Get(ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, pv); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	plan := volume.Expand(volume.ExpandState{Claim: claim, Volume: pv, Now: e.env.Clock.Now()})
	if plan.Volume != nil {
		if err := e.env.Write.Update(ctx, plan.Volume); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("enlarge volume %s: %w", pv.Name, err))
		}
	}
	if plan.Status != nil {
		changed := claim.DeepCopy()
		changed.Status = *plan.Status
		if err := e.env.Write.Status().Update(ctx, changed); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("update the status of claim %s: %w", req.NamespacedName, err))
		}
	}
	for _, ev := range plan.Events {
		e.env.Events.Event(claim, ev.Type, ev.Reason, ev.Message)
	}
	return reconcile.Result{}, nil
}

func onClaim(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	claim, ok := ev.New.(*corev1.PersistentVolumeClaim)
	if !ok || claim.Spec.VolumeName == "" {
		return nil
	}
	wants, has := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	if wants.Cmp(has) <= 0 && len(claim.Status.AllocatedResourceStatuses) == 0 {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(claim)}}
}

// onVolume wakes the claim of a volume that has grown, or has to.
func onVolume(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	pv, ok := ev.New.(*corev1.PersistentVolume)
	if !ok || pv.Spec.ClaimRef == nil {
		return nil
	}
	if old, ok := ev.Old.(*corev1.PersistentVolume); ok && old.Annotations[volume.LocalGrowing] == pv.Annotations[volume.LocalGrowing] {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pv.Spec.ClaimRef.Namespace, Name: pv.Spec.ClaimRef.Name}}}
}
