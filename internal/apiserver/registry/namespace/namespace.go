// Package namespace serves namespaces. A deleted one is first marked as
// terminating; it goes when the last of its finalizers is taken away through
// namespaces/finalize, which the namespace controller does once it is empty.
package namespace

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Tune gives namespaces their finalizer, phase and name label.
func Tune(s *genericregistry.Store, _ *generic.StoreOptions) {
	s.CreateStrategy = creating{s.CreateStrategy}
	s.UpdateStrategy = updating{s.UpdateStrategy}
	s.ShouldDeleteDuringUpdate = func(ctx context.Context, key string, obj, existing runtime.Object) bool {
		return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0 &&
			genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
	}
}

func label(obj runtime.Object) {
	ns := obj.(*corev1.Namespace)
	if ns.Name == "" {
		return // not generated yet
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

type creating struct{ rest.RESTCreateStrategy }

func (c creating) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	c.RESTCreateStrategy.PrepareForCreate(ctx, obj)
	ns := obj.(*corev1.Namespace)
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func (c creating) Canonicalize(obj runtime.Object) {
	c.RESTCreateStrategy.Canonicalize(obj)
	label(obj)
}

type updating struct{ rest.RESTUpdateStrategy }

func (u updating) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	u.RESTUpdateStrategy.PrepareForUpdate(ctx, obj, old)
	ns, was := obj.(*corev1.Namespace), old.(*corev1.Namespace)
	ns.Spec.Finalizers, ns.Status = was.Spec.Finalizers, was.Status
}

func (u updating) Canonicalize(obj runtime.Object) {
	u.RESTUpdateStrategy.Canonicalize(obj)
	label(obj)
}

// finalizing lets an update change spec.finalizers alone.
type finalizing struct{ rest.RESTUpdateStrategy }

func (f finalizing) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

func (finalizing) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{"v1": fieldpath.NewSet(fieldpath.MakePathOrDie("status"))}
}
