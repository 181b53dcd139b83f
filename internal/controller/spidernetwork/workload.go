package spidernetwork

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/autopool"
)

// workload is one that may ask for pools.
type workload struct {
	autopool.App
	object client.Object
	// annotations are those of its pods.
	annotations map[string]string
}

// workloadOf reads an object; one that another made asks by way of that.
func workloadOf(o client.Object) (w workload, ok bool) {
	if metav1.GetControllerOfNoCopy(o) != nil {
		return w, false
	}
	w = workload{object: o, App: autopool.App{NamespacedName: client.ObjectKeyFromObject(o), UID: o.GetUID()}}
	var template *corev1.PodTemplateSpec
	switch o := o.(type) {
	case *appsv1.Deployment:
		w.GroupVersionKind, template, w.Replicas = kindOf("Deployment"), &o.Spec.Template, int(ptr.Deref(o.Spec.Replicas, 1))
	case *appsv1.ReplicaSet:
		w.GroupVersionKind, template, w.Replicas = kindOf("ReplicaSet"), &o.Spec.Template, int(ptr.Deref(o.Spec.Replicas, 1))
	case *appsv1.StatefulSet:
		w.GroupVersionKind, template, w.Replicas = kindOf("StatefulSet"), &o.Spec.Template, int(ptr.Deref(o.Spec.Replicas, 1))
	case *appsv1.DaemonSet:
		w.GroupVersionKind, template, w.Replicas = kindOf("DaemonSet"), &o.Spec.Template, int(o.Status.DesiredNumberScheduled)
	case *batchv1.Job:
		w.GroupVersionKind, template, w.Replicas = kindOf("Job"), &o.Spec.Template, parallel(&o.Spec)
	case *batchv1.CronJob:
		w.GroupVersionKind, template, w.Replicas = kindOf("CronJob"), &o.Spec.JobTemplate.Spec.Template, parallel(&o.Spec.JobTemplate.Spec)
	default:
		return w, false
	}
	w.annotations = template.Annotations
	return w, true
}

func kindOf(kind string) schema.GroupVersionKind {
	if strings.HasSuffix(kind, "Job") {
		return batchv1.SchemeGroupVersion.WithKind(kind)
	}
	return appsv1.SchemeGroupVersion.WithKind(kind)
}

// parallel is how many pods of a job there are at once.
func parallel(s *batchv1.JobSpec) int {
	n := int(ptr.Deref(s.Parallelism, 1))
	if s.Completions != nil {
		n = min(n, int(*s.Completions))
	}
	return n
}

func (w *workload) asks() bool {
	_, one := w.annotations[address.SubnetAnnotation]
	_, several := w.annotations[address.SubnetsAnnotation]
	return one || several
}

func keyOf(kind, namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: appKey + kind + "/" + name}}
}

// onApp wakes a workload that asks for pools, or did.
func onApp(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	for _, o := range []client.Object{ev.New, ev.Old} {
		if o == nil {
			continue
		}
		if w, ok := workloadOf(o); ok && w.asks() {
			return []reconcile.Request{keyOf(w.Kind, w.Namespace, w.App.Name)}
		}
	}
	return nil
}

// lookUp finds a workload, nil if there is none.
func (c *controller) lookUp(ctx context.Context, kind string, key types.NamespacedName) (*workload, error) {
	kinds := map[string]client.Object{
		"Deployment": &appsv1.Deployment{}, "ReplicaSet": &appsv1.ReplicaSet{}, "StatefulSet": &appsv1.StatefulSet{},
		"DaemonSet": &appsv1.DaemonSet{}, "Job": &batchv1.Job{}, "CronJob": &batchv1.CronJob{},
	}
	o := kinds[kind]
	if o == nil {
		return nil, nil
	}
	if err := c.env.Cache.Get(ctx, key, o); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if w, ok := workloadOf(o); ok {
		return &w, nil
	}
	return nil, nil
}
