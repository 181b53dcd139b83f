package job

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
)

// jobsOfPod wakes the jobs that control the pod now or did before, and those
// that may adopt it.
func jobsOfPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	all := owned.Controllers(ev, kind)
	if !owned.Adoptable(ev) {
		return all
	}
	var jobs batchv1.JobList
	if err := read.List(ctx, &jobs, client.InNamespace(ev.New.GetNamespace())); err != nil {
		return all
	}
	for i := range jobs.Items {
		selector, err := metav1.LabelSelectorAsSelector(jobs.Items[i].Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(ev.New.GetLabels())) {
			all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&jobs.Items[i])})
		}
	}
	return all
}

// jobOf is the job that controls an object.
func jobOf(obj client.Object) (types.NamespacedName, bool) {
	ref := metav1.GetControllerOfNoCopy(obj)
	if ref == nil || ref.Kind != kind.Kind || ref.APIVersion != kind.GroupVersion().String() {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: ref.Name}, true
}
