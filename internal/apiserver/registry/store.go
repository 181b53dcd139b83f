package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/base/stack"
)

// Main serves the main endpoint of a kind, with its names for kubectl.
type Main struct {
	*genericregistry.Store
	kind api.Kind
}

var (
	_ rest.StandardStorage    = &Main{}
	_ rest.ShortNamesProvider = &Main{}
	_ rest.CategoriesProvider = &Main{}
)

// ShortNames implements rest.ShortNamesProvider.
func (m *Main) ShortNames() []string { return m.kind.ShortNames }

// Categories implements rest.CategoriesProvider.
func (m *Main) Categories() []string { return m.kind.Categories }

// Kind is the declaration that the endpoint was made from.
func (m *Main) Kind() api.Kind { return m.kind }

// Create implements rest.Creater, in a goroutine that was made for it.
func (m *Main) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	stack.Reserve()
	return m.Store.Create(ctx, obj, validate, options)
}

// Tune changes a store before it is completed.
type Tune func(*genericregistry.Store, *generic.StoreOptions)

// NewMain builds the main endpoint of k.
func NewMain(k api.Kind, getter generic.RESTOptionsGetter, tune ...Tune) (*Main, error) {
	s := newStrategy(k)
	resource := k.GVK.GroupVersion().WithResource(k.Resource).GroupResource()
	store := &genericregistry.Store{
		NewFunc:                   k.New,
		NewListFunc:               k.NewList,
		DefaultQualifiedResource:  resource,
		SingularQualifiedResource: k.GVK.GroupVersion().WithResource(k.Singular).GroupResource(),
		CreateStrategy:            s,
		UpdateStrategy:            s,
		DeleteStrategy:            s,
		ResetFieldsStrategy:       s,
		TableConvertor:            rest.NewDefaultTableConvertor(resource),
	}
	if k.DefaultGracePeriod != nil {
		g := gracefulStrategy{s}
		store.CreateStrategy, store.UpdateStrategy, store.DeleteStrategy = g, g, g
	}
	if k.Row != nil {
		store.TableConvertor = table{k}
	}
	options := &generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes(k)}
	for _, f := range append(tunes(k), tune...) {
		f(store, options)
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, err
	}
	return &Main{Store: store, kind: k}, nil
}

// attributes are the labels and fields that selectors see.
func attributes(k api.Kind) storage.AttrFunc {
	return func(obj runtime.Object) (labels.Set, fields.Set, error) {
		m := obj.(metav1.Object)
		set := fields.Set{"metadata.name": m.GetName()}
		if k.Namespaced {
			set["metadata.namespace"] = m.GetNamespace()
		}
		if k.Fields != nil {
			for name, value := range k.Fields(obj) {
				set[name] = value
			}
		}
		return labels.Set(m.GetLabels()), set, nil
	}
}
