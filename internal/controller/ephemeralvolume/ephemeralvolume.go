// Package ephemeralvolume creates the claims of pods' generic ephemeral
// volumes. They belong to their pod and go with it.
package ephemeralvolume

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/ephemeral"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
)

// Loop returns the loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "ephemeral_volume",
		Source:  "ephemeral_volume",
		User:    "system:serviceaccount:kube-system:ephemeral-volume-controller",
		Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.Pod{}, Map: onPod},
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
		},
		Indexes: []loop.Index{podindex.ByClaim()},
		New:     func(env loop.Env) reconcile.Reconciler { return &controller{env} },
	}
}

type controller struct{ env loop.Env }

// Reconcile creates the claims that one pod lacks.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, pod); err != nil || pod.DeletionTimestamp != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.Ephemeral != nil {
			if err := c.claim(ctx, pod, v); err != nil {
				return reconcile.Result{}, err
			}
		}
	}
	return reconcile.Result{}, nil
}

func (c *controller) claim(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) error {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: ephemeral.VolumeClaimName(pod, v)}
	have := &corev1.PersistentVolumeClaim{}
	err := c.env.Cache.Get(ctx, key, have)
	if err == nil {
		// A claim of that name that is someone else's must not be used.
		return ephemeral.VolumeIsForPod(pod, have)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	template := v.Ephemeral.VolumeClaimTemplate
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name, Annotations: template.Annotations, Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(pod, corev1.SchemeGroupVersion.WithKind("Pod"))},
		},
		Spec: *template.Spec.DeepCopy(),
	}
	err = c.env.Write.Create(ctx, claim)
	if err == nil || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return fmt.Errorf("create PVC %s: %w", key.Name, err)
}

func onPod(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	pod, ok := ev.New.(*corev1.Pod)
	if !ok || ev.Old != nil {
		return nil // volumes never change
	}
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Ephemeral != nil {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(pod)}}
		}
	}
	return nil
}

// onClaim wakes the pods of a deleted claim.
func onClaim(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New != nil {
		return nil
	}
	pods := &corev1.PodList{}
	err := read.List(ctx, pods, client.InNamespace(ev.Old.GetNamespace()), client.MatchingFields{podindex.Claim: ev.Old.GetName()})
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range pods.Items {
		out = append(out, onPod(ctx, read, loop.Event{New: &pods.Items[i]})...)
	}
	return out
}
