package registry

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"berth.dev/berth/internal/api"
)

// Scale serves the scale subresource of a kind that declares one.
type Scale struct {
	kind  api.Kind
	store *genericregistry.Store
	paths managedfields.ResourcePathMappings
}

var (
	_ rest.Patcher                  = &Scale{}
	_ rest.GroupVersionKindProvider = &Scale{}
)

// NewScale returns the scale endpoint that belongs to main.
func NewScale(k api.Kind, main *genericregistry.Store) *Scale {
	return &Scale{kind: k, store: main, paths: managedfields.ResourcePathMappings{
		k.GVK.GroupVersion().String(): fieldpath.MakePathOrDie("spec", "replicas"),
	}}
}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (*Scale) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}

// New implements rest.Storage.
func (*Scale) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy implements rest.Storage; the storage belongs to the main endpoint.
func (*Scale) Destroy() {}

// ConvertToTable implements rest.TableConvertor.
func (s *Scale) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return rest.NewDefaultTableConvertor(s.store.DefaultQualifiedResource).ConvertToTable(ctx, obj, options)
}

// Get implements rest.Getter.
func (s *Scale) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.store.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	return s.of(obj)
}

// Update implements rest.Updater. It never creates the object.
func (s *Scale) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	obj, _, err := s.store.Update(ctx, name, &scaling{Scale: s, name: name, info: info},
		func(ctx context.Context, obj runtime.Object) error {
			scale, err := s.of(obj)
			if err != nil {
				return err
			}
			return create(ctx, scale)
		},
		func(ctx context.Context, obj, old runtime.Object) error {
			scale, err := s.of(obj)
			if err != nil {
				return err
			}
			was, err := s.of(old)
			if err != nil {
				return err
			}
			return update(ctx, scale, was)
		}, false, options)
	if err != nil {
		return nil, false, err
	}
	scale, err := s.of(obj)
	return scale, false, err
}

// of shows obj as its Scale.
func (s *Scale) of(obj runtime.Object) (*autoscalingv1.Scale, error) {
	m := obj.(metav1.Object)
	want, have, selector := s.kind.Scale.Get(obj)
	fields, err := managedfields.NewScaleHandler(m.GetManagedFields(), s.kind.GVK.GroupVersion(), s.paths).ToSubresource()
	if err != nil {
		return nil, err
	}
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name:              m.GetName(),
			Namespace:         m.GetNamespace(),
			UID:               m.GetUID(),
			ResourceVersion:   m.GetResourceVersion(),
			CreationTimestamp: m.GetCreationTimestamp(),
			ManagedFields:     fields,
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: want},
		Status: autoscalingv1.ScaleStatus{Replicas: have, Selector: selector},
	}, nil
}

// scaling turns an update of a Scale into one of the object behind it.
type scaling struct {
	*Scale
	name string
	info rest.UpdatedObjectInfo
}

func (s *scaling) Preconditions() *metav1.Preconditions { return s.info.Preconditions() }

func (s *scaling) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj := old.DeepCopyObject()
	m := obj.(metav1.Object)
	handler := managedfields.NewScaleHandler(m.GetManagedFields(), s.kind.GVK.GroupVersion(), s.paths)
	was, err := s.of(old)
	if err != nil {
		return nil, err
	}
	updated, err := s.info.UpdatedObject(ctx, was)
	if err != nil {
		return nil, err
	}
	if updated == nil {
		return nil, apierrors.NewBadRequest("nil update passed to Scale")
	}
	scale, ok := updated.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected input object type to be Scale, but %T", updated))
	}
	if errs := validateScale(scale); len(errs) > 0 {
		return nil, apierrors.NewInvalid(autoscalingv1.SchemeGroupVersion.WithKind("Scale").GroupKind(), s.name, errs)
	}
	if m.GetResourceVersion() == "" || scale.ResourceVersion != "" {
		m.SetResourceVersion(scale.ResourceVersion)
	}
	if scale.UID != "" {
		m.SetUID(scale.UID)
	}
	s.kind.Scale.Set(obj, scale.Spec.Replicas)
	fields, err := handler.ToParent(scale.ManagedFields)
	if err != nil {
		return nil, err
	}
	m.SetManagedFields(fields)
	return obj, nil
}

func validateScale(scale *autoscalingv1.Scale) field.ErrorList {
	errs := validation.ValidateObjectMeta(&scale.ObjectMeta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if scale.Spec.Replicas < 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "replicas"), scale.Spec.Replicas, "must be greater than or equal to 0"))
	}
	return errs
}
