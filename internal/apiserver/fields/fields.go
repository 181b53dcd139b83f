// Package fields reads objects for their managed fields: who set which of them.
package fields

import (
	"reflect"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	smdschema "sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Converter reads objects by the definitions of their kinds.
func Converter(definitions map[string]*spec.Schema) (managedfields.TypeConverter, error) {
	library, err := managedfields.NewTypeConverter(definitions, false)
	if err != nil {
		return nil, err
	}
	return &converter{TypeConverter: library}, nil
}

// converter leaves out what the library's does for nothing: it compares a Go
// object with the definition that was made from its Go type, twice a write, and
// field by field what has not changed.
type converter struct {
	managedfields.TypeConverter
	kinds sync.Map // of kind by schema.GroupVersionKind
}

type kind struct {
	schema *smdschema.Schema
	ref    smdschema.TypeRef
}

// ObjectToTyped implements managedfields.TypeConverter. What was applied, which
// has no Go type, and what may have no duplicates in lists, is checked.
func (c *converter) ObjectToTyped(obj runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if _, shapeless := obj.(runtime.Unstructured); shapeless || !slices.Contains(options, typed.AllowDuplicates) {
		return c.TypeConverter.ObjectToTyped(obj, options...)
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	if found, ok := c.kinds.Load(gvk); ok {
		return found.(kind).typed(obj)
	}
	out, err := c.TypeConverter.ObjectToTyped(obj, options...)
	if err == nil {
		c.kinds.Store(gvk, kind{out.Schema(), out.TypeRef()})
	}
	return out, err
}

func (k kind) typed(obj runtime.Object) (*typed.TypedValue, error) {
	v, err := value.NewValueReflect(obj)
	if err != nil {
		return nil, err
	}
	//nolint:staticcheck // validation, which it is discouraged for, is what costs here
	return typed.AsTypedUnvalidated(newObject(v, reflect.ValueOf(obj)), k.schema, k.ref), nil
}

var _ managedfields.TypeConverter = (*converter)(nil)
