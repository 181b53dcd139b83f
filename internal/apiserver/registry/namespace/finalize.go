package namespace

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"berth.dev/berth/internal/apiserver/registry"
)

// Finalize serves namespaces/finalize.
type Finalize struct{ store *genericregistry.Store }

var (
	_ rest.Updater             = &Finalize{}
	_ rest.ResetFieldsStrategy = &Finalize{}
)

// NewFinalize returns the endpoint that belongs to main.
func NewFinalize(main *registry.Main) *Finalize {
	store := *main.Store
	s := finalizing{main.UpdateStrategy}
	store.UpdateStrategy, store.ResetFieldsStrategy = s, s
	return &Finalize{&store}
}

// New implements rest.Storage.
func (f *Finalize) New() runtime.Object { return f.store.New() }

// Destroy implements rest.Storage; the storage belongs to the main endpoint.
func (f *Finalize) Destroy() {}

// Update implements rest.Updater. It never creates the namespace.
func (f *Finalize) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return f.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (f *Finalize) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return f.store.GetResetFields()
}
