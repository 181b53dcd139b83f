package daemonset

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/daemonset"
)

func watches() []loop.Watch {
	return []loop.Watch{
		{Kind: &appsv1.DaemonSet{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			return []reconcile.Request{request(ev.Object())}
		}},
		{Kind: &corev1.Pod{}, Map: ofOwned},
		{Kind: &appsv1.ControllerRevision{}, Map: ofOwned},
		{Kind: &corev1.Node{}, Map: ofNode},
	}
}

func request(set client.Object) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(set)}
}

// ofOwned wakes the sets that control the object now or did before, and those
// that may adopt it.
func ofOwned(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	all := owned.Controllers(ev, kind)
	if !owned.Adoptable(ev) {
		return all
	}
	sets, err := loop.List[*appsv1.DaemonSet](ctx, read, &appsv1.DaemonSetList{}, client.InNamespace(ev.New.GetNamespace()))
	if err != nil {
		return all
	}
	for _, set := range sets {
		selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(ev.New.GetLabels())) {
			all = append(all, request(set))
		}
	}
	return all
}

// ofNode wakes the sets to which a node means something else than before. Its
// heartbeats mean nothing.
func ofNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*corev1.Node)
	now, _ := ev.New.(*corev1.Node)
	if old != nil && now != nil && equality.Semantic.DeepEqual(old.Labels, now.Labels) && equality.Semantic.DeepEqual(old.Spec.Taints, now.Spec.Taints) {
		return nil
	}
	sets, err := loop.List[*appsv1.DaemonSet](ctx, read, &appsv1.DaemonSetList{})
	if err != nil {
		return nil
	}
	var all []reconcile.Request
	for _, set := range sets {
		if !plan.PlacementOf(set).Same(old, now) {
			all = append(all, request(set))
		}
	}
	return all
}
