// Package attributesclass keeps volume attributes classes that claims or
// volumes name from vanishing: it gives them upstream's finalizer when they
// lack it and takes it away once nothing names the deleted class.
package attributesclass

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// Finalizer keeps a class while it is used.
const Finalizer = "kubernetes.io/vac-protection"

// Loop returns the loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name: "volumeattributesclass-protection",
		User: "system:serviceaccount:kube-system:volumeattributesclass-protection-controller",
		Watches: []loop.Watch{
			{Kind: &storagev1.VolumeAttributesClass{}, Map: onClass},
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onUser},
			{Kind: &corev1.PersistentVolume{}, Map: onUser},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &protection{env: env} },
	}
}

type protection struct{ env loop.Env }

// Reconcile protects or releases one class.
func (p *protection) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	class := &storagev1.VolumeAttributesClass{}
	if err := p.env.Cache.Get(ctx, req.NamespacedName, class); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	deleted, protected := class.DeletionTimestamp != nil, slices.Contains(class.Finalizers, Finalizer)
	if deleted != protected {
		return reconcile.Result{}, nil
	}
	if deleted {
		// What the cache knows suffices to keep a class; to let it go needs the API server.
		for _, read := range []client.Reader{p.env.Cache, p.env.Live} {
			if used, err := used(ctx, read, class.Name); err != nil || used {
				return reconcile.Result{}, err
			}
		}
	}
	next := class.DeepCopy()
	next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == Finalizer })
	if !deleted {
		next.Finalizers = append(next.Finalizers, Finalizer)
	}
	if err := p.env.Write.Update(ctx, next); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("set finalizer %s of volume attributes class %s: %w", Finalizer, class.Name, err)
	}
	return reconcile.Result{}, nil
}

func used(ctx context.Context, read client.Reader, class string) (bool, error) {
	claims := &corev1.PersistentVolumeClaimList{}
	if err := read.List(ctx, claims); err != nil {
		return false, fmt.Errorf("list the claims that may name volume attributes class %s: %w", class, err)
	}
	volumes := &corev1.PersistentVolumeList{}
	if err := read.List(ctx, volumes); err != nil {
		return false, fmt.Errorf("list the volumes that may name volume attributes class %s: %w", class, err)
	}
	return slices.ContainsFunc(claims.Items, func(c corev1.PersistentVolumeClaim) bool { return slices.Contains(named(&c), class) }) ||
		slices.ContainsFunc(volumes.Items, func(v corev1.PersistentVolume) bool { return slices.Contains(named(&v), class) }), nil
}

// named are the classes that a claim or a volume has, wants or is getting.
func named(obj client.Object) []string {
	var out []string
	add := func(name *string) {
		if name != nil && *name != "" {
			out = append(out, *name)
		}
	}
	switch o := obj.(type) {
	case *corev1.PersistentVolumeClaim:
		add(o.Spec.VolumeAttributesClassName)
		add(o.Status.CurrentVolumeAttributesClassName)
		if m := o.Status.ModifyVolumeStatus; m != nil {
			add(&m.TargetVolumeAttributesClassName)
		}
	case *corev1.PersistentVolume:
		add(o.Spec.VolumeAttributesClassName)
	}
	return out
}

func onClass(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.New)}}
}

// onUser wakes the classes that an object no longer names.
func onUser(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.Old == nil {
		return nil
	}
	var still []string
	if ev.New != nil {
		still = named(ev.New)
	}
	var out []reconcile.Request
	for _, class := range named(ev.Old) {
		if !slices.Contains(still, class) {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: class}})
		}
	}
	return out
}
