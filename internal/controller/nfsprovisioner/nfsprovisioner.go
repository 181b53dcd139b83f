// Package nfsprovisioner makes PersistentVolumes for claims whose class names the
// built-in NFS provisioner, around plan/volume. It only writes objects: the first
// node that uses a volume makes its directory on the server, and one that is
// asked to removes it. Keys with a namespace are claims, keys without are
// deleted volumes.
package nfsprovisioner

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	volumehelper "k8s.io/component-helpers/storage/volume"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
)

// Loop returns the loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "nfs-provisioner",
		Source:  volume.NFSProvisioner,
		User:    "system:serviceaccount:kube-system:persistent-volume-binder",
		Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
			{Kind: &corev1.PersistentVolume{}, Map: onVolume},
			{Kind: &storagev1.StorageClass{}, Map: onClass},
			{Kind: &corev1.Node{}, Map: onNode},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &provisioner{env: env} },
	}
}

type provisioner struct{ env loop.Env }

// Reconcile provisions for one claim, or finds who removes one volume.
func (p *provisioner) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace == "" {
		return reconcile.Result{}, p.release(ctx, req.Name)
	}
	claim := &corev1.PersistentVolumeClaim{}
	if err := p.env.Cache.Get(ctx, req.NamespacedName, claim); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	class := &storagev1.StorageClass{}
	name := volumehelper.GetPersistentVolumeClaimClass(claim)
	if err := p.env.Cache.Get(ctx, types.NamespacedName{Name: name}, class); name == "" || err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	err := p.env.Cache.Get(ctx, types.NamespacedName{Name: volume.LocalName(claim)}, &corev1.PersistentVolume{})
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	plan := volume.ProvisionNFS(volume.ProvisionState{Claim: claim, Class: class, Exists: err == nil})
	if plan.Volume != nil {
		if err := p.env.Write.Create(ctx, plan.Volume); apierrors.IsAlreadyExists(err) {
			return reconcile.Result{}, nil
		} else if err != nil {
			return reconcile.Result{}, fmt.Errorf("provision a volume for claim %s: %w", req.NamespacedName, err)
		}
	}
	for _, e := range plan.Events {
		p.env.Events.Event(claim, e.Type, e.Reason, e.Message)
	}
	return reconcile.Result{}, nil
}

func (p *provisioner) release(ctx context.Context, name string) error {
	pv := &corev1.PersistentVolume{}
	if err := p.env.Cache.Get(ctx, types.NamespacedName{Name: name}, pv); err != nil {
		return client.IgnoreNotFound(err)
	}
	nodes, err := loop.List[*corev1.Node](ctx, p.env.Cache, &corev1.NodeList{})
	if err != nil {
		return err
	}
	changed := volume.NFSRelease(pv, nodes)
	if changed == nil {
		return nil
	}
	if err := p.env.Write.Update(ctx, changed); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("let go of volume %s: %w", name, err))
	}
	return nil
}

func onClaim(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if claim, ok := ev.New.(*corev1.PersistentVolumeClaim); ok && claim.Spec.VolumeName == "" {
		return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(claim)}}
	}
	return nil
}

func onVolume(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	pv := ev.Object().(*corev1.PersistentVolume)
	switch ref := pv.Spec.ClaimRef; {
	case ev.New == nil && ref != nil:
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}}}
	case ev.New != nil && pv.DeletionTimestamp != nil:
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: pv.Name}}}
	}
	return nil
}

// onClass wakes the claims that have no volume.
func onClass(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	class, ok := ev.New.(*storagev1.StorageClass)
	if !ok || class.Provisioner != volume.NFSProvisioner {
		return nil
	}
	claims := &corev1.PersistentVolumeClaimList{}
	if err := read.List(ctx, claims); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range claims.Items {
		if c := &claims.Items[i]; c.Spec.VolumeName == "" && volumehelper.GetPersistentVolumeClaimClass(c) == class.Name {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c)})
		}
	}
	return out
}

// onNode wakes the deleted volumes: who was asked to remove them may be gone, or
// there is somebody to ask.
func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if able(ev.Old) == able(ev.New) {
		return nil
	}
	volumes := &corev1.PersistentVolumeList{}
	if err := read.List(ctx, volumes); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range volumes.Items {
		if volumes.Items[i].DeletionTimestamp != nil {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: volumes.Items[i].Name}})
		}
	}
	return out
}

func able(o client.Object) bool {
	node, ok := o.(*corev1.Node)
	return ok && volume.NFSAble(node)
}
