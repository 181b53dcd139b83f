package scheduler

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/schedule"
)

func watches() []loop.Watch {
	return []loop.Watch{
		{Kind: &corev1.Pod{}, Map: onPod},
		{Kind: &corev1.Node{}, Map: onNode},
		{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
		{Kind: &corev1.PersistentVolume{}, Map: onVolume},
		{Kind: &storagev1.StorageClass{}, Map: onClass},
	}
}

// onPod wakes the pod itself while it waits, and every waiting pod when one
// that had a node leaves it.
func onPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pod := ev.Object().(*corev1.Pod)
	if pod.Spec.NodeName == "" {
		if ev.New == nil || !mine(pod) || !worthAnotherTry(ev) {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(pod)}}
	}
	if ev.New == nil {
		return waiting(ctx, read)
	}
	if old, ok := ev.Old.(*corev1.Pod); ok && old != nil && schedule.Active(old) && !schedule.Active(pod) {
		return waiting(ctx, read)
	}
	return nil
}

// worthAnotherTry leaves out the echo of our own condition.
func worthAnotherTry(ev loop.Event) bool {
	if ev.Old == nil {
		return true
	}
	old, pod := ev.Old.(*corev1.Pod), ev.New.(*corev1.Pod)
	return !equality.Semantic.DeepEqual(old.Spec, pod.Spec) || !equality.Semantic.DeepEqual(old.Labels, pod.Labels)
}

func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	if ev.Old != nil && !roomChanged(ev.Old.(*corev1.Node), ev.New.(*corev1.Node)) {
		return nil
	}
	return waiting(ctx, read)
}

// roomChanged leaves out heartbeats.
func roomChanged(old, node *corev1.Node) bool {
	return !equality.Semantic.DeepEqual(old.Status.Allocatable, node.Status.Allocatable) ||
		!equality.Semantic.DeepEqual(old.Labels, node.Labels) ||
		!equality.Semantic.DeepEqual(old.Spec, node.Spec)
}

func onClaim(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	claim := ev.Object()
	pods, err := loop.List[*corev1.Pod](ctx, read, &corev1.PodList{}, client.InNamespace(claim.GetNamespace()), client.MatchingFields{podindex.Claim: claim.GetName()})
	if err != nil {
		return nil
	}
	return requests(pods)
}

func onVolume(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pv, ok := ev.New.(*corev1.PersistentVolume)
	if !ok || pv == nil {
		return nil
	}
	if pv.Spec.ClaimRef != nil || pv.Status.Phase != corev1.VolumeAvailable {
		return nil
	}
	return waiting(ctx, read)
}

func onClass(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	return waiting(ctx, read)
}

func waiting(ctx context.Context, read client.Reader) []reconcile.Request {
	pods, err := loop.List[*corev1.Pod](ctx, read, &corev1.PodList{}, client.MatchingFields{podindex.Waiting: "true"})
	if err != nil {
		return nil
	}
	return requests(pods)
}

func requests(pods []*corev1.Pod) []reconcile.Request {
	var out []reconcile.Request
	for _, pod := range pods {
		if mine(pod) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
		}
	}
	return out
}
