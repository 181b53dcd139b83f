package kind

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Part is a subresource through which one part of an object is changed, as
// pods/resize changes the resources of containers.
type Part struct {
	Name string // "resize"
	// Prepare undoes in obj what this subresource may not change.
	Prepare func(ctx context.Context, obj, old runtime.Object)
	// Keeps are fields that Prepare leaves as they were, by path.
	Keeps []string
	// Validate checks what is left of the change.
	Validate func(ctx context.Context, obj, old runtime.Object) field.ErrorList
}

// PartOf declares a part of the kind T.
func PartOf[T Object](name string, prepare func(obj, old T), validate func(obj, old T) field.ErrorList) Part {
	return Part{
		Name:     name,
		Prepare:  func(_ context.Context, o, old runtime.Object) { prepare(o.(T), old.(T)) },
		Validate: func(_ context.Context, o, old runtime.Object) field.ErrorList { return validate(o.(T), old.(T)) },
	}
}
