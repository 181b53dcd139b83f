package owned

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// Controllers are the workloads of the kind that control the event's object now
// or did before.
func Controllers(ev loop.Event, kind schema.GroupVersionKind) []reconcile.Request {
	var all []reconcile.Request
	for _, obj := range []client.Object{ev.New, ev.Old} {
		if obj == nil {
			continue
		}
		ref := metav1.GetControllerOfNoCopy(obj)
		if ref == nil || ref.Kind != kind.Kind || ref.APIVersion != kind.GroupVersion().String() {
			continue
		}
		req := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: ref.Name}}
		if !slices.Contains(all, req) {
			all = append(all, req)
		}
	}
	return all
}

// Adoptable reports whether the event makes the object one that a workload may
// want: it has no controller, and is new, was let go or has other labels now.
func Adoptable(ev loop.Event) bool {
	if ev.New == nil || ev.New.GetDeletionTimestamp() != nil || metav1.GetControllerOfNoCopy(ev.New) != nil {
		return false
	}
	return ev.Old == nil || metav1.GetControllerOfNoCopy(ev.Old) != nil || !maps.Equal(ev.Old.GetLabels(), ev.New.GetLabels())
}
