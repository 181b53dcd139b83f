package kind

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Check makes a rule of a pure check.
func Check[T Object](f func(T) field.ErrorList) func(context.Context, T) field.ErrorList {
	return func(_ context.Context, o T) field.ErrorList { return f(o) }
}

// CheckUpdate makes a rule of a pure check of a change.
func CheckUpdate[T Object](f func(o, old T) field.ErrorList) func(context.Context, T, T) field.ErrorList {
	return func(_ context.Context, o, old T) field.ErrorList { return f(o, old) }
}

// Warnings makes a rule of a function that needs the object alone.
func Warnings[T Object](f func(T) []string) func(context.Context, T, T) []string {
	return func(_ context.Context, o, _ T) []string { return f(o) }
}
