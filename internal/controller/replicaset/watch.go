package replicaset

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
)

func (k kind) watches() []loop.Watch {
	return []loop.Watch{
		{Kind: k.object(), Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			return request(ev.Object(), ev.Object().GetName())
		}},
		{Kind: &corev1.Pod{}, Map: k.ofPod},
	}
}

func request(obj client.Object, name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
}

// ofPod wakes the sets that control the pod now or did before, and those that
// may adopt it.
func (k kind) ofPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	all := owned.Controllers(ev, k.gvk)
	if owned.Adoptable(ev) {
		all = append(all, k.matching(ctx, read, ev.New)...)
	}
	return all
}

func (k kind) matching(ctx context.Context, read client.Reader, pod client.Object) []reconcile.Request {
	sets, err := k.list(ctx, read, pod.GetNamespace())
	if err != nil {
		return nil
	}
	var all []reconcile.Request
	for _, set := range sets {
		selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(pod.GetLabels())) {
			all = append(all, request(set, set.Name)...)
		}
	}
	return all
}
