package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"berth.dev/berth/internal/api/kind"
)

// partStrategy lets a subresource change its part and nothing else.
type partStrategy struct {
	strategy
	part kind.Part
}

func (s partStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	s.part.Prepare(ctx, obj, old)
	if s.kind.HasGeneration && s.specChanged(obj, old) {
		obj.(metav1.Object).SetGeneration(old.(metav1.Object).GetGeneration() + 1)
	}
}

func (s partStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return s.part.Validate(ctx, obj, old)
}

func (s partStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.resets(s.part.Keeps...)
}

func (partStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// Part serves the subresource of one part on the storage of the main endpoint.
type Part struct{ store *genericregistry.Store }

var (
	_ rest.Getter  = &Part{}
	_ rest.Patcher = &Part{}
)

// NewPart returns the endpoint of p that belongs to main.
func NewPart(k kind.Kind, p kind.Part, main *genericregistry.Store) *Part {
	store := *main
	s := partStrategy{newStrategy(k), p}
	store.CreateStrategy, store.DeleteStrategy = nil, nil
	store.UpdateStrategy, store.ResetFieldsStrategy = s, nil
	if len(p.Keeps) > 0 {
		store.ResetFieldsStrategy = s
	}
	return &Part{store: &store}
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (p *Part) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return p.store.GetResetFields()
}

// New implements rest.Storage.
func (p *Part) New() runtime.Object { return p.store.New() }

// Destroy implements rest.Storage; the storage belongs to the main endpoint.
func (p *Part) Destroy() {}

// Get implements rest.Getter.
func (p *Part) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return p.store.Get(ctx, name, options)
}

// Update implements rest.Updater. It never creates the object.
func (p *Part) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return p.store.Update(ctx, name, info, create, update, false, options)
}
