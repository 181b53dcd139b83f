package registry

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"berth.dev/berth/internal/api"
)

// statusStrategy lets the status subresource change nothing but status.
type statusStrategy struct{ strategy }

func (s statusStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	if s.kind.CopySpec != nil {
		s.kind.CopySpec(obj, old)
	}
	if slices.Contains(s.kind.StatusKeeps, "metadata") {
		to, from := obj.(metav1.ObjectMetaAccessor).GetObjectMeta(), old.(metav1.ObjectMetaAccessor).GetObjectMeta()
		metav1.ResetObjectMetaForStatus(to, from)
	}
	if s.kind.PrepareStatusUpdate != nil {
		s.kind.PrepareStatusUpdate(ctx, obj, old)
	}
}

func (s statusStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	if s.kind.ValidateStatusUpdate == nil {
		return nil
	}
	return s.kind.ValidateStatusUpdate(ctx, obj, old)
}

func (s statusStrategy) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	if s.kind.StatusWarnings == nil {
		return nil
	}
	return s.kind.StatusWarnings(ctx, obj, old)
}

func (s statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.resets(append([]string{"spec"}, s.kind.StatusKeeps...)...)
}

// Status serves a status subresource: a part of the object that has a table too.
type Status struct{ *Part }

var (
	_ rest.Patcher             = &Status{}
	_ rest.ResetFieldsStrategy = &Status{}
	_ rest.TableConvertor      = &Status{}
)

// NewStatus returns the status endpoint that belongs to main.
func NewStatus(k api.Kind, main *genericregistry.Store) *Status {
	store := *main
	s := statusStrategy{newStrategy(k)}
	store.UpdateStrategy, store.ResetFieldsStrategy = s, s
	return &Status{&Part{store: &store}}
}

// ConvertToTable implements rest.TableConvertor.
func (s *Status) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, obj, options)
}
