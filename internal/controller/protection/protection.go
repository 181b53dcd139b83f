// Package protection keeps claims that pods use, and volumes that claims hold,
// from vanishing: it gives them upstream's finalizers when they lack them and
// takes them away once nothing uses the deleted object. Keys with a namespace
// are claims, keys without are volumes.
package protection

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/ephemeral"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/volume"
)

// Loop returns the protection loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "volume-protection",
		User:    "system:serviceaccount:kube-system:persistent-volume-binder",
		Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onObject},
			{Kind: &corev1.PersistentVolume{}, Map: onObject},
			{Kind: &corev1.Pod{}, Map: onPod},
		},
		Indexes: []loop.Index{podindex.ByClaim()},
		New:     func(env loop.Env) reconcile.Reconciler { return &protection{env: env} },
	}
}

type protection struct{ env loop.Env }

// Reconcile protects or releases one object.
func (p *protection) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace == "" {
		return reconcile.Result{}, p.volume(ctx, req.NamespacedName)
	}
	return reconcile.Result{}, p.claim(ctx, req.NamespacedName)
}

func (p *protection) claim(ctx context.Context, key types.NamespacedName) error {
	claim := &corev1.PersistentVolumeClaim{}
	if err := p.env.Cache.Get(ctx, key, claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	protected := slices.Contains(claim.Finalizers, volume.ClaimProtection)
	switch {
	case claim.DeletionTimestamp == nil && !protected:
		return p.set(ctx, claim.DeepCopy(), volume.ClaimProtection, true)
	case claim.DeletionTimestamp == nil || !protected:
		return nil
	}
	used, err := p.used(ctx, claim)
	if err != nil || used {
		return err
	}
	return p.set(ctx, claim.DeepCopy(), volume.ClaimProtection, false)
}

// used asks the cache first; "unused" is believed only from the API server.
func (p *protection) used(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	pods := &corev1.PodList{}
	err := p.env.Cache.List(ctx, pods, client.InNamespace(claim.Namespace), client.MatchingFields{podindex.Claim: claim.Name})
	if err != nil || anyUses(pods, claim) {
		return true, err
	}
	pods = &corev1.PodList{}
	if err := p.env.Live.List(ctx, pods, client.InNamespace(claim.Namespace)); err != nil {
		return true, fmt.Errorf("list the pods that may use claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return anyUses(pods, claim), nil
}

func anyUses(pods *corev1.PodList, claim *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool { return uses(&pod, claim) })
}

// uses counts pods with a node only: a node never starts a pod whose claim is
// being deleted.
func uses(pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) bool {
	if pod.Spec.NodeName == "" {
		return false
	}
	shutDown := pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
	for i := range pod.Spec.Volumes {
		name, isEphemeral := podindex.ClaimName(pod, &pod.Spec.Volumes[i])
		if name != claim.Name {
			continue
		}
		if !isEphemeral || (!shutDown && ephemeral.VolumeIsForPod(pod, claim) == nil) {
			return true
		}
	}
	return false
}

func (p *protection) volume(ctx context.Context, key types.NamespacedName) error {
	pv := &corev1.PersistentVolume{}
	if err := p.env.Cache.Get(ctx, key, pv); err != nil {
		return client.IgnoreNotFound(err)
	}
	protected := slices.Contains(pv.Finalizers, volume.VolumeProtection)
	switch {
	case pv.DeletionTimestamp == nil && !protected:
		return p.set(ctx, pv.DeepCopy(), volume.VolumeProtection, true)
	case pv.DeletionTimestamp != nil && protected && pv.Status.Phase != corev1.VolumeBound:
		return p.set(ctx, pv.DeepCopy(), volume.VolumeProtection, false)
	}
	return nil
}

// set writes the object with or without the finalizer; its resourceVersion
// makes a stale decision fail.
func (p *protection) set(ctx context.Context, obj client.Object, finalizer string, present bool) error {
	finalizers := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool { return f == finalizer })
	if present {
		finalizers = append(finalizers, finalizer)
	}
	obj.SetFinalizers(finalizers)
	if err := p.env.Write.Update(ctx, obj); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("set finalizer %s of %s/%s: %w", finalizer, obj.GetNamespace(), obj.GetName(), err))
	}
	return nil
}

func onObject(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.New)}}
}

// onPod wakes the claims of a pod that leaves.
func onPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pod := ev.Object().(*corev1.Pod)
	if ev.New != nil && pod.DeletionTimestamp == nil {
		return nil
	}
	var out []reconcile.Request
	for i := range pod.Spec.Volumes {
		if name, _ := podindex.ClaimName(pod, &pod.Spec.Volumes[i]); name != "" {
			key := types.NamespacedName{Namespace: pod.Namespace, Name: name}
			claim := &corev1.PersistentVolumeClaim{}
			if err := read.Get(ctx, key, claim); err == nil && claim.DeletionTimestamp != nil {
				out = append(out, reconcile.Request{NamespacedName: key})
			}
		}
	}
	return out
}
