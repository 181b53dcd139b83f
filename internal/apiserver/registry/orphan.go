package registry

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
)

// Delete implements rest.GracefulDeleter.
func (m *Main) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	m.warnOfOrphans(ctx, options)
	return m.Store.Delete(ctx, name, validate, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (m *Main) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions) (runtime.Object, error) {
	m.warnOfOrphans(ctx, options)
	return m.Store.DeleteCollection(ctx, validate, options, list)
}

// warnOfOrphans tells who deletes without saying what becomes of the
// dependents that they stay.
func (m *Main) warnOfOrphans(ctx context.Context, options *metav1.DeleteOptions) {
	if m.kind.OrphanWarning != "" && options != nil && options.PropagationPolicy == nil &&
		options.OrphanDependents == nil {
		warning.AddWarning(ctx, "", m.kind.OrphanWarning)
	}
}
