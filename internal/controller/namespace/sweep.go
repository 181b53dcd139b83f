package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
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

// sweep deletes everything in the namespace and says what is still there. Pods
// go first, with their grace period: while one runs, nothing that it may need
// (its network policy, its secrets) goes.
func sweep(ctx context.Context, content Content, namespace *corev1.Namespace, now time.Time) emptying.Found {
	found := emptying.Found{Remaining: map[string]int{}, Finalizers: map[string]int{}}
	kinds, err := content.Kinds(ctx)
	if err != nil {
		found.Discovery = discoveryFailure(err)
	}
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(kind metav1.APIResource) bool {
		return !kind.Namespaced || strings.Contains(kind.Name, "/") ||
			!slices.Contains(kind.Verbs, "list") || !slices.Contains(kind.Verbs, "delete")
	})
	// Then workloads before what they own, so that nothing is made anew meanwhile.
	slices.SortStableFunc(kinds, func(a, b metav1.APIResource) int { return order(a) - order(b) })
	for _, kind := range kinds {
		if err := sweepKind(ctx, content, namespace, kind, now, &found); err != nil {
			found.Failures = append(found.Failures, err)
		}
		if order(kind) == podsFirst && len(found.Remaining) > 0 {
			return found
		}
	}
	return found
}

const (
	podsFirst = iota
	workloads
	rest
)

func order(kind metav1.APIResource) int {
	switch {
	case kind.Group == "" && kind.Name == "pods":
		return podsFirst
	case kind.Group == "":
		return rest
	}
	return workloads
}

// discoveryFailure words what could not be found out as upstream does.
func discoveryFailure(err error) error {
	if failed, ok := errors.AsType[*discovery.ErrGroupDiscoveryFailed](err); ok {
		return fmt.Errorf("Discovery failed for some groups, %d failing: %w", len(failed.Groups), err) //nolint:staticcheck // upstream's message
	}
	return err
}

func sweepKind(ctx context.Context, content Content, namespace *corev1.Namespace, kind metav1.APIResource, now time.Time, found *emptying.Found) error {
	objects, err := list(ctx, content, namespace.Name, kind)
	if err != nil || len(objects) == 0 {
		return err
	}
	for i := range objects {
		if objects[i].DeletionTimestamp != nil {
			continue
		}
		err := content.Delete(ctx, kind, namespace.Name, objects[i].Name, objects[i].UID)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return err
		}
	}
	if objects, err = list(ctx, content, namespace.Name, kind); err != nil || len(objects) == 0 {
		return err
	}
	var grace time.Duration
	held := false
	for i := range objects {
		found.Remaining[kind.Name+"."+kind.Group]++
		for _, f := range objects[i].Finalizers {
			found.Finalizers[f]++
			held = true
		}
		if seconds := objects[i].DeletionGracePeriodSeconds; seconds != nil {
			grace = max(grace, time.Duration(*seconds)*time.Second)
		}
	}
	if held || now.Before(namespace.DeletionTimestamp.Add(grace)) {
		return nil
	}
	// Nothing holds them and their time is over.
	gvr := schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: kind.Name}
	return fmt.Errorf("unexpected items still remain in namespace: %s for gvr: %v", namespace.Name, gvr)
}

func list(ctx context.Context, content Content, namespace string, kind metav1.APIResource) ([]metav1.PartialObjectMetadata, error) {
	objects, err := content.List(ctx, kind, namespace)
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil // the kind has just gone
	}
	return objects, err
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
