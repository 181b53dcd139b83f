// Package kind is the vocabulary in which the packages beside it declare what
// Berth serves: a Group with its versions and its kinds, and for each kind its
// scope, defaults, validation, what may change on update, status rules,
// subresources, field selectors and table columns.
package kind

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Object is an API object with metadata: what a kind stores.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind is one served kind, type-erased so that the server can loop over all.
// Build it with Declare; optional functions may be nil.
type Kind struct {
	GVK      schema.GroupVersionKind
	StoredAs schema.GroupVersion // empty: as served; else the group that shares its objects
	// OtherVersions of the group serve the same objects. Each has a declaration of
	// its own, with its GVK and StoredAs.
	OtherVersions []schema.GroupVersion

	Resource   string   // plural path name, "statefulsets"
	Singular   string   // "statefulset"
	ShortNames []string // "sts"
	Categories []string // "all"
	Namespaced bool

	New     func() runtime.Object
	NewList func() runtime.Object

	// Default fills unset fields of a decoded object; registered with the Scheme.
	Default func(obj runtime.Object)
	// PrepareCreate and PrepareUpdate drop what a client may not set. The
	// generic strategy has already wiped or kept status (when HasStatus) and
	// moved metadata.generation (when HasGeneration).
	PrepareCreate func(ctx context.Context, obj runtime.Object)
	PrepareUpdate func(ctx context.Context, obj, old runtime.Object)
	// Canonicalize runs last before an object is stored: its name is known then,
	// even if the server has made it up.
	Canonicalize func(obj runtime.Object)
	// Validate and ValidateUpdate return upstream's field errors, message for message.
	Validate       func(ctx context.Context, obj runtime.Object) field.ErrorList
	ValidateUpdate func(ctx context.Context, obj, old runtime.Object) field.ErrorList
	// Warnings become HTTP Warning headers on create and update.
	Warnings func(ctx context.Context, obj, old runtime.Object) []string

	// HasStatus: there is a .status that the main endpoint ignores and the
	// status subresource alone writes. CopySpec puts everything except status
	// (spec, data ...) of old into obj, by assigning whole fields of obj;
	// CopyStatus puts the status of old into obj.
	HasStatus bool
	// KeepsStatusOnCreate: a new object brings its status along (nodes do).
	KeepsStatusOnCreate  bool
	ValidateStatusUpdate func(ctx context.Context, obj, old runtime.Object) field.ErrorList
	PrepareStatusUpdate  func(ctx context.Context, obj, old runtime.Object)
	CopySpec             func(obj, old runtime.Object)
	CopyStatus           func(obj, old runtime.Object)
	// Keeps are further fields, by path, that the main endpoint never changes.
	// PrepareUpdate sees to it.
	Keeps []string
	// StatusKeeps are further fields that a change of status leaves as they
	// were, by path ("metadata.labels"). PrepareStatusUpdate sees to it, but for
	// "metadata" as a whole.
	StatusKeeps []string
	// StatusWarnings become HTTP Warning headers on a change of status.
	StatusWarnings func(ctx context.Context, obj, old runtime.Object) []string
	// HasGeneration: metadata.generation is 1 on create and +1 when CopySpec-ed
	// content differs semantically.
	HasGeneration bool

	// Scale, when set, serves the scale subresource (autoscaling/v1 Scale).
	Scale *Scale
	// Parts are the subresources that change one part of the object each.
	Parts []Part

	// Fields are the selectable fields beyond metadata.name and metadata.namespace.
	Fields func(obj runtime.Object) fields.Set
	// FieldNames lists the labels that Fields may return.
	FieldNames []string
	// FieldAliases maps further field labels to those that Fields returns.
	FieldAliases map[string]string

	// Columns and Row print kubectl's table; Name, and Age if HasAge, are not implied.
	Columns []metav1.TableColumnDefinition
	Row     func(obj runtime.Object) []any
	// Order sorts the rows of a list that is not shown by name.
	Order func(a, b runtime.Object) int

	// OrphansDependents: a deletion that does not say what becomes of the
	// dependents leaves them. OrphanWarning, if any, answers such a deletion.
	OrphansDependents bool
	OrphanWarning     string
	// AllowCreateOnUpdate and AllowUnconditionalUpdate are the strategy's answers.
	AllowCreateOnUpdate      bool
	AllowUnconditionalUpdate bool
	// PlainNames: metadata.generateName gets no random end.
	PlainNames bool
	// DefaultGracePeriod in seconds makes deletion graceful; nil means at once.
	// It returns the grace period that applies to this object.
	DefaultGracePeriod func(obj runtime.Object, requested *int64) int64
}

// Repeated says whether another version of the group has the same objects and
// the endpoint that stores them.
func (k Kind) Repeated() bool { return !k.StoredAs.Empty() && k.StoredAs.Group == k.GVK.Group }

// Scale maps a kind to the scale subresource. Spec.Replicas and Status.Replicas
// are counts, Selector is the string form of the pod selector.
type Scale struct {
	Get func(obj runtime.Object) (specReplicas, statusReplicas int32, selector string)
	Set func(obj runtime.Object, replicas int32)
}

// Rules are the typed functions of one kind; see Kind for their meaning.
type Rules[T Object] struct {
	Default              func(T)
	PrepareCreate        func(context.Context, T)
	PrepareUpdate        func(ctx context.Context, obj, old T)
	Canonicalize         func(T)
	Validate             func(context.Context, T) field.ErrorList
	ValidateUpdate       func(ctx context.Context, obj, old T) field.ErrorList
	Warnings             func(ctx context.Context, obj, old T) []string
	ValidateStatusUpdate func(ctx context.Context, obj, old T) field.ErrorList
	PrepareStatusUpdate  func(ctx context.Context, obj, old T)
	CopySpec             func(obj, old T)
	CopyStatus           func(obj, old T)
	StatusWarnings       func(ctx context.Context, obj, old T) []string
	Fields               func(T) fields.Set
	Row                  func(T) []any
	Order                func(a, b T) int
	DefaultGracePeriod   func(obj T, requested *int64) int64
	ScaleGet             func(T) (specReplicas, statusReplicas int32, selector string)
	ScaleSet             func(T, int32)
}

// Declare joins the untyped facts of k with the typed rules r.
func Declare[T Object](k Kind, r Rules[T]) Kind {
	k.Default = erase1(r.Default)
	k.Canonicalize = erase1(r.Canonicalize)
	k.PrepareCreate = eraseCtx(r.PrepareCreate)
	k.PrepareUpdate = eraseCtx2(r.PrepareUpdate)
	k.PrepareStatusUpdate = eraseCtx2(r.PrepareStatusUpdate)
	k.ValidateUpdate = eraseCheck2(r.ValidateUpdate)
	k.ValidateStatusUpdate = eraseCheck2(r.ValidateStatusUpdate)
	if f := r.Validate; f != nil {
		k.Validate = func(ctx context.Context, o runtime.Object) field.ErrorList { return f(ctx, o.(T)) }
	}
	if f := r.Warnings; f != nil {
		k.Warnings = func(ctx context.Context, o, old runtime.Object) []string {
			was, _ := old.(T)
			return f(ctx, o.(T), was)
		}
	}
	if f := r.StatusWarnings; f != nil {
		k.StatusWarnings = func(ctx context.Context, o, old runtime.Object) []string { return f(ctx, o.(T), old.(T)) }
	}
	if f := r.CopySpec; f != nil {
		k.CopySpec = func(o, old runtime.Object) { f(o.(T), old.(T)) }
	}
	if f := r.CopyStatus; f != nil {
		k.CopyStatus = func(o, old runtime.Object) { f(o.(T), old.(T)) }
	}
	if f := r.Fields; f != nil {
		k.Fields = func(o runtime.Object) fields.Set { return f(o.(T)) }
	}
	if f := r.Row; f != nil {
		k.Row = func(o runtime.Object) []any { return f(o.(T)) }
	}
	if f := r.Order; f != nil {
		k.Order = func(a, b runtime.Object) int { return f(a.(T), b.(T)) }
	}
	if f := r.DefaultGracePeriod; f != nil {
		k.DefaultGracePeriod = func(o runtime.Object, s *int64) int64 { return f(o.(T), s) }
	}
	if get, set := r.ScaleGet, r.ScaleSet; get != nil {
		k.Scale = &Scale{
			Get: func(o runtime.Object) (int32, int32, string) { return get(o.(T)) },
			Set: func(o runtime.Object, n int32) { set(o.(T), n) },
		}
	}
	return k
}

func erase1[T Object](f func(T)) func(runtime.Object) {
	if f == nil {
		return nil
	}
	return func(o runtime.Object) { f(o.(T)) }
}

func eraseCtx[T Object](f func(context.Context, T)) func(context.Context, runtime.Object) {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, o runtime.Object) { f(ctx, o.(T)) }
}

func eraseCtx2[T Object](f func(context.Context, T, T)) func(context.Context, runtime.Object, runtime.Object) {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, o, old runtime.Object) { f(ctx, o.(T), old.(T)) }
}

func eraseCheck2[T Object](f func(context.Context, T, T) field.ErrorList) func(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, o, old runtime.Object) field.ErrorList { return f(ctx, o.(T), old.(T)) }
}
