package api

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// check makes a rule of a pure check.
func check[T Object](f func(T) field.ErrorList) func(context.Context, T) field.ErrorList {
	return func(_ context.Context, o T) field.ErrorList { return f(o) }
}

// checkUpdate makes a rule of a pure check of a change.
func checkUpdate[T Object](f func(o, old T) field.ErrorList) func(context.Context, T, T) field.ErrorList {
	return func(_ context.Context, o, old T) field.ErrorList { return f(o, old) }
}

// warnings makes a rule of a function that needs the object alone.
func warnings[T Object](f func(T) []string) func(context.Context, T, T) []string {
	return func(_ context.Context, o, _ T) []string { return f(o) }
}
