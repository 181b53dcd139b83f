package deployment

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	"berth.dev/berth/internal/plan/podready"
)

func watches() []loop.Watch {
	return []loop.Watch{
		{Kind: &appsv1.Deployment{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			return request(ev.Object(), ev.Object().GetName())
		}},
		{Kind: &appsv1.ReplicaSet{}, Map: ofSet},
		{Kind: &corev1.Pod{}, Map: ofPod},
	}
}

func request(obj client.Object, name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
}

// controller is the name of the object's controller of that kind, "" for none.
func controller(obj client.Object, kind string) string {
	ref := metav1.GetControllerOfNoCopy(obj)
	if ref == nil || ref.Kind != kind || ref.APIVersion != appsv1.SchemeGroupVersion.String() {
		return ""
	}
	return ref.Name
}

// ofSet wakes the Deployments that control the set now or did before, and those
// that may adopt it.
func ofSet(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	all := owned.Controllers(ev, appsv1.SchemeGroupVersion.WithKind("Deployment"))
	if !owned.Adoptable(ev) {
		return all
	}
	var list appsv1.DeploymentList
	if err := read.List(ctx, &list, client.InNamespace(ev.New.GetNamespace())); err != nil {
		return all
	}
	for i := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(list.Items[i].Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(ev.New.GetLabels())) {
			all = append(all, request(ev.New, list.Items[i].Name)...)
		}
	}
	return all
}

// ofPod wakes a Deployment that recreates its pods when one has ended.
func ofPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if pod, ok := ev.New.(*corev1.Pod); ok && !podready.Ended(pod) {
		return nil
	}
	obj := ev.Object()
	set := controller(obj, "ReplicaSet")
	if set == "" {
		return nil
	}
	rs, d := &appsv1.ReplicaSet{}, &appsv1.Deployment{}
	if err := read.Get(ctx, client.ObjectKey{Namespace: obj.GetNamespace(), Name: set}, rs); err != nil {
		return nil
	}
	name := controller(rs, "Deployment")
	if name == "" || read.Get(ctx, client.ObjectKey{Namespace: obj.GetNamespace(), Name: name}, d) != nil ||
		d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return nil
	}
	return request(obj, name)
}
