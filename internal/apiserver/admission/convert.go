package admission

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
)

// sameTypes lets plugins convert between the internal and the served version
// of a kind, which are one Go type here. The scheme has no function for that,
// because nothing else needs it.
type sameTypes struct{ admission.ObjectInterfaces }

// GetObjectConvertor implements admission.ObjectInterfaces.
func (s sameTypes) GetObjectConvertor() runtime.ObjectConvertor {
	return copier{s.ObjectInterfaces.GetObjectConvertor()}
}

type copier struct{ runtime.ObjectConvertor }

// Convert implements runtime.ObjectConvertor. Like every conversion from or to
// an internal version it is shallow and leaves the type's name alone.
func (c copier) Convert(in, out, context any) error {
	to, ok := out.(runtime.Object)
	_, untyped := out.(runtime.Unstructured)
	if !ok || untyped || reflect.TypeOf(in) != reflect.TypeOf(out) {
		return c.ObjectConvertor.Convert(in, out, context)
	}
	gvk := to.GetObjectKind().GroupVersionKind()
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(in).Elem())
	to.GetObjectKind().SetGroupVersionKind(gvk)
	return nil
}
