// Package registry turns the declaration of a kind into its REST endpoints:
// one generic strategy and store, the status and scale subresources, and tables.
package registry

import (
	"context"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/api/equal"
)

// strategy answers the generic store's questions from a kind's declaration.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind api.Kind
}

// newStrategy returns a strategy, with graceful deletion for the kinds that have it.
func newStrategy(k api.Kind) strategy {
	s := strategy{ObjectTyper: api.Scheme, NameGenerator: names.SimpleNameGenerator, kind: k}
	if k.PlainNames {
		s.NameGenerator = plainNames{}
	}
	return s
}

// plainNames takes what a name should begin with as the name.
type plainNames struct{}

func (plainNames) GenerateName(base string) string { return base }

func (s strategy) NamespaceScoped() bool                    { return s.kind.Namespaced }
func (s strategy) AllowCreateOnUpdate(context.Context) bool { return s.kind.AllowCreateOnUpdate }
func (s strategy) AllowUnconditionalUpdate(context.Context) bool {
	return s.kind.AllowUnconditionalUpdate
}

// Canonicalize runs when the object's name is known for good.
func (s strategy) Canonicalize(obj runtime.Object) {
	if s.kind.Canonicalize != nil {
		s.kind.Canonicalize(obj)
	}
}

func (s strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	if s.kind.HasStatus && !s.kind.KeepsStatusOnCreate && s.kind.CopyStatus != nil {
		s.kind.CopyStatus(obj, s.kind.New())
	}
	if s.kind.HasGeneration {
		obj.(metav1.Object).SetGeneration(1)
	}
	if s.kind.PrepareCreate != nil {
		s.kind.PrepareCreate(ctx, obj)
	}
}

func (s strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	if s.kind.Validate == nil {
		return nil
	}
	return s.kind.Validate(ctx, obj)
}

func (s strategy) WarningsOnCreate(ctx context.Context, obj runtime.Object) []string {
	if s.kind.Warnings == nil {
		return nil
	}
	return s.kind.Warnings(ctx, obj, nil)
}

func (s strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	if s.kind.HasStatus && s.kind.CopyStatus != nil {
		s.kind.CopyStatus(obj, old)
	}
	if s.kind.PrepareUpdate != nil {
		s.kind.PrepareUpdate(ctx, obj, old)
	}
	if s.kind.HasGeneration && s.specChanged(obj, old) {
		obj.(metav1.Object).SetGeneration(old.(metav1.Object).GetGeneration() + 1)
	}
}

// specChanged compares what CopySpec covers: an object with old's spec differs
// from the object itself exactly when the spec has changed.
func (s strategy) specChanged(obj, old runtime.Object) bool {
	if s.kind.CopySpec == nil {
		return false
	}
	unchanged := shallow(obj)
	s.kind.CopySpec(unchanged, old)
	// Metadata is no part of the spec even if CopySpec should carry it over.
	copyMeta(unchanged.(metav1.Object), obj.(metav1.Object))
	return !equal.Semantic(unchanged, obj)
}

// shallow is an object of its own with obj's parts: CopySpec replaces parts and
// changes none.
func shallow(obj runtime.Object) runtime.Object {
	v := reflect.New(reflect.TypeOf(obj).Elem())
	v.Elem().Set(reflect.ValueOf(obj).Elem())
	return v.Interface().(runtime.Object)
}

// copyMeta gives to the type and object metadata of from.
func copyMeta(to, from metav1.Object) {
	to.SetLabels(from.GetLabels())
	to.SetAnnotations(from.GetAnnotations())
	to.SetFinalizers(from.GetFinalizers())
	to.SetOwnerReferences(from.GetOwnerReferences())
	to.SetManagedFields(from.GetManagedFields())
	to.SetGeneration(from.GetGeneration())
	to.SetResourceVersion(from.GetResourceVersion())
	to.SetDeletionTimestamp(from.GetDeletionTimestamp())
	to.SetDeletionGracePeriodSeconds(from.GetDeletionGracePeriodSeconds())
	to.SetCreationTimestamp(from.GetCreationTimestamp())
	to.SetUID(from.GetUID())
	to.SetSelfLink(from.GetSelfLink())
	to.SetGenerateName(from.GetGenerateName())
}

func (s strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	if s.kind.ValidateUpdate == nil {
		return nil
	}
	return s.kind.ValidateUpdate(ctx, obj, old)
}

func (s strategy) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	if s.kind.Warnings == nil {
		return nil
	}
	return s.kind.Warnings(ctx, obj, old)
}

// GetResetFields keeps status out of the managed fields of the main endpoint.
func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if !s.kind.HasStatus {
		return nil
	}
	return s.resets(append([]string{"status"}, s.kind.Keeps...)...)
}

// resets takes fields, named by path, out of what a client manages.
func (s strategy) resets(names ...string) map[fieldpath.APIVersion]*fieldpath.Set {
	out := map[fieldpath.APIVersion]*fieldpath.Set{}
	for _, gv := range append(slices.Clone(s.kind.OtherVersions), s.kind.GVK.GroupVersion()) {
		set := &fieldpath.Set{}
		for _, name := range names {
			var parts []any
			for _, part := range strings.Split(name, ".") {
				parts = append(parts, part)
			}
			set.Insert(fieldpath.MakePathOrDie(parts...))
		}
		out[fieldpath.APIVersion(gv.String())] = set
	}
	return out
}

// DefaultGarbageCollectionPolicy says what becomes of the dependents of an
// object whose deletion leaves that open.
func (s strategy) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	if s.kind.OrphansDependents {
		return rest.OrphanDependents
	}
	return rest.DeleteDependents
}

// gracefulStrategy is a strategy whose objects are marked before they go.
type gracefulStrategy struct{ strategy }

// CheckGracefulDelete sets the period that applies; 0 removes the object at once.
func (s gracefulStrategy) CheckGracefulDelete(_ context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool {
	if options == nil {
		return false
	}
	period := s.kind.DefaultGracePeriod(obj, options.GracePeriodSeconds)
	options.GracePeriodSeconds = &period
	return true
}

// ungarbage is the strategy of kinds that the garbage collector leaves alone.
type ungarbage struct{ strategy }

func (ungarbage) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	return rest.Unsupported
}
