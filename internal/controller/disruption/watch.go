package disruption

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

func watches() []loop.Watch {
	return []loop.Watch{
		{Kind: &policyv1.PodDisruptionBudget{}, Map: func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
			own := []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
			if ev.Old != nil && ev.New != nil {
				return own
			}
			return append(own, budgetsIn(ctx, read, ev.Object(), nil)...) // they may select the same pods
		}},
		{Kind: &corev1.Pod{}, Map: budgetsOfPod},
		{Kind: &appsv1.StatefulSet{}, Map: scaled(func(o client.Object) *int32 { return o.(*appsv1.StatefulSet).Spec.Replicas })},
		{Kind: &appsv1.ReplicaSet{}, Map: scaled(func(o client.Object) *int32 { return o.(*appsv1.ReplicaSet).Spec.Replicas })},
		{Kind: &appsv1.Deployment{}, Map: scaled(func(o client.Object) *int32 { return o.(*appsv1.Deployment).Spec.Replicas })},
		{Kind: &corev1.ReplicationController{}, Map: scaled(func(o client.Object) *int32 { return o.(*corev1.ReplicationController).Spec.Replicas })},
	}
}

// budgetsOfPod wakes the budgets that select a pod or did before.
func budgetsOfPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	return budgetsIn(ctx, read, ev.Object(), func(selector labels.Selector) bool {
		return ev.New != nil && selector.Matches(labels.Set(ev.New.GetLabels())) ||
			ev.Old != nil && selector.Matches(labels.Set(ev.Old.GetLabels()))
	})
}

// scaled wakes the budgets of a namespace when a controller in it comes, goes or
// wants another number of pods: the cache may show its pods first.
func scaled(replicas func(client.Object) *int32) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
		if ev.Old != nil && ev.New != nil && ptr.Equal(replicas(ev.Old), replicas(ev.New)) {
			return nil
		}
		return budgetsIn(ctx, read, ev.Object(), nil)
	}
}

// budgetsIn are the budgets of the object's namespace whose selector will do, or all.
func budgetsIn(ctx context.Context, read client.Reader, obj client.Object, will func(labels.Selector) bool) []reconcile.Request {
	var budgets policyv1.PodDisruptionBudgetList
	if err := read.List(ctx, &budgets, client.InNamespace(obj.GetNamespace())); err != nil {
		return nil
	}
	var all []reconcile.Request
	for i := range budgets.Items {
		if will != nil {
			selector, err := metav1.LabelSelectorAsSelector(budgets.Items[i].Spec.Selector)
			if err != nil || !will(selector) {
				continue
			}
		}
		all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&budgets.Items[i])})
	}
	return all
}
