package service

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// Tune makes a store of Services take and give back what they need.
// afterDelete is told the name of each Service that has gone.
func (a *Allocator) Tune(afterDelete func(namespace, name string)) func(*genericregistry.Store, *generic.StoreOptions) {
	return func(s *genericregistry.Store, _ *generic.StoreOptions) {
		s.BeginCreate = func(_ context.Context, obj runtime.Object, options *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
			svc := obj.(*corev1.Service)
			alignAddresses(svc, nil)
			// What will be refused for its name takes nothing: no address can belong to it.
			nameless := svc.Name == "" || len(path.IsValidPathSegmentName(svc.Name)) > 0
			return finish(a.begin(svc, nil, nameless || dryrun.IsDryRun(options.DryRun)))
		}
		s.BeginUpdate = func(_ context.Context, obj, old runtime.Object, options *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
			svc, was := obj.(*corev1.Service), old.(*corev1.Service)
			keepAllocated(svc, was)
			alignAddresses(svc, was)
			dropForType(svc, was)
			return finish(a.begin(svc, was, dryrun.IsDryRun(options.DryRun)))
		}
		s.AfterDelete = func(obj runtime.Object, options *metav1.DeleteOptions) {
			if svc := obj.(*corev1.Service); !dryrun.IsDryRun(options.DryRun) {
				a.Release(svc)
				afterDelete(svc.Namespace, svc.Name)
			}
		}
	}
}

func finish(c *change, err error) (genericregistry.FinishFunc, error) {
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, success bool) { c.finish(success) }, nil
}
