package namespace

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/emptying"
)

// Content is what namespaces can hold.
type Content interface {
	// Kinds are the kinds served right now; with an error, those that could be
	// found out.
	Kinds(ctx context.Context) ([]metav1.APIResource, error)
	// List returns the objects of one kind in a namespace.
	List(ctx context.Context, kind metav1.APIResource, namespace string) ([]metav1.PartialObjectMetadata, error)
	// Delete deletes one object if it still has this UID.
	Delete(ctx context.Context, kind metav1.APIResource, namespace, name string, uid types.UID) error
}

// sweep deletes everything in the namespace, pods with their grace period, and
// says what is still there.
func sweep(ctx context.Context, content Content, namespace string) emptying.Found {
	found := emptying.Found{Remaining: map[string]int{}, Finalizers: map[string]int{}}
	kinds, err := content.Kinds(ctx)
	found.Discovery = err
	// Workloads before what they own, so that nothing is made anew meanwhile.
	slices.SortStableFunc(kinds, func(a, b metav1.APIResource) int { return order(a) - order(b) })
	for _, kind := range kinds {
		if !kind.Namespaced || strings.Contains(kind.Name, "/") ||
			!slices.Contains(kind.Verbs, "list") || !slices.Contains(kind.Verbs, "delete") {
			continue
		}
		if err := sweepKind(ctx, content, namespace, kind, &found); err != nil {
			found.Failures = append(found.Failures, err)
		}
	}
	return found
}

func order(kind metav1.APIResource) int {
	switch {
	case kind.Name == "pods":
		return 1
	case kind.Group == "":
		return 2
	}
	return 0
}

func sweepKind(ctx context.Context, content Content, namespace string, kind metav1.APIResource, found *emptying.Found) error {
	objects, err := list(ctx, content, namespace, kind)
	if err != nil || len(objects) == 0 {
		return err
	}
	for i := range objects {
		if objects[i].DeletionTimestamp != nil {
			continue
		}
		err := content.Delete(ctx, kind, namespace, objects[i].Name, objects[i].UID)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete %s %s: %w", kind.Name, objects[i].Name, err)
		}
	}
	if objects, err = list(ctx, content, namespace, kind); err != nil {
		return err
	}
	for i := range objects {
		found.Remaining[kind.Name+"."+kind.Group]++
		for _, f := range objects[i].Finalizers {
			found.Finalizers[f]++
		}
	}
	return nil
}

func list(ctx context.Context, content Content, namespace string, kind metav1.APIResource) ([]metav1.PartialObjectMetadata, error) {
	objects, err := content.List(ctx, kind, namespace)
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil // the kind has just gone
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind.Name, err)
	}
	return objects, nil
}

// Fixed returns the content of namespaces where exactly these kinds are served.
func Fixed(kinds []metav1.APIResource) func(loop.Env) Content {
	return func(env loop.Env) Content { return fixed{env, kinds} }
}

type fixed struct {
	env   loop.Env
	kinds []metav1.APIResource
}

func (f fixed) Kinds(context.Context) ([]metav1.APIResource, error) { return f.kinds, nil }

func (f fixed) List(ctx context.Context, kind metav1.APIResource, namespace string) ([]metav1.PartialObjectMetadata, error) {
	objects := &metav1.PartialObjectMetadataList{TypeMeta: typeMeta(kind, "List")}
	err := f.env.Live.List(ctx, objects, client.InNamespace(namespace))
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	return objects.Items, err
}

func (f fixed) Delete(ctx context.Context, kind metav1.APIResource, namespace, name string, uid types.UID) error {
	o := &metav1.PartialObjectMetadata{
		TypeMeta:   typeMeta(kind, ""),
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
	return f.env.Write.Delete(ctx, o, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
}

func typeMeta(kind metav1.APIResource, suffix string) metav1.TypeMeta {
	return metav1.TypeMeta{
		APIVersion: metav1.GroupVersion{Group: kind.Group, Version: kind.Version}.String(),
		Kind:       kind.Kind + suffix,
	}
}
