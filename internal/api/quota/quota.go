// Package quota measures what objects use of a namespace's resource quotas:
// for the API server, which charges new objects, and for the control loop,
// which counts them all again.
package quota

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/utils/clock"
)

// List returns the objects of a resource in a namespace.
type List func(resource schema.GroupResource, namespace string) ([]runtime.Object, error)

// Evaluators measure the resources that are more than counted, and those that
// have a name of old for their count. All other resources are merely counted:
// see Counted.
func Evaluators(list List, now clock.PassiveClock) []v1.Evaluator {
	of := func(name string) generic.ListFuncByNamespace { return lister(list, corev1.Resource(name)) }
	all := []v1.Evaluator{
		evaluator{resource: corev1.Resource("pods"), list: of("pods"), rules: pods{now}},
		evaluator{resource: corev1.Resource("services"), list: of("services"), rules: services{}},
		evaluator{resource: corev1.Resource("persistentvolumeclaims"), list: of("persistentvolumeclaims"), rules: claims{}},
		evaluator{resource: deviceClaims, list: lister(list, deviceClaims), rules: devices{}},
	}
	for _, alias := range []corev1.ResourceName{
		corev1.ResourceConfigMaps, corev1.ResourceQuotas, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
	} {
		all = append(all, generic.NewObjectCountEvaluator(corev1.Resource(string(alias)), of(string(alias)), alias))
	}
	return all
}

// For measures one object of a resource at a time; pods that should have ended
// count as if they still ran.
func For(r schema.GroupResource) v1.Evaluator {
	for _, e := range Evaluators(nil, nil) {
		if e.GroupResource() == r {
			return e
		}
	}
	return Counted(nil, r)
}

// Counted measures a resource of which only the number of objects is limited.
func Counted(list List, r schema.GroupResource) v1.Evaluator {
	return generic.NewObjectCountEvaluator(r, lister(list, r), "")
}

func lister(list List, r schema.GroupResource) generic.ListFuncByNamespace {
	return func(namespace string) ([]runtime.Object, error) { return list(r, namespace) }
}

// Ignored are the resources that no quota counts: reviews, which nobody
// stores, and events.
func Ignored() map[schema.GroupResource]struct{} {
	out := map[schema.GroupResource]struct{}{}
	for group, names := range map[string][]string{
		"":                      {"bindings", "componentstatuses", "events"},
		"events.k8s.io":         {"events"},
		"authentication.k8s.io": {"tokenreviews", "selfsubjectreviews"},
		"authorization.k8s.io":  {"subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews", "selfsubjectrulesreviews"},
	} {
		for _, name := range names {
			out[schema.GroupResource{Group: group, Resource: name}] = struct{}{}
		}
	}
	return out
}

// rules are what differs from resource to resource.
type rules interface {
	handles(attributes) bool
	constraints(required []corev1.ResourceName, obj runtime.Object) error
	tracked(corev1.ResourceName) bool
	inScope(corev1.ScopedResourceSelectorRequirement, runtime.Object) (bool, error)
	// scoped says whether a scope can apply at all.
	scoped() bool
	usage(runtime.Object) (corev1.ResourceList, error)
}

// count is the name under which the objects of a resource are counted.
func count(r string) corev1.ResourceName {
	return generic.ObjectCountQuotaResourceNameFor(corev1.Resource(r))
}

func one() resource.Quantity { return *resource.NewQuantity(1, resource.DecimalSI) }

func unexpected(want string, got runtime.Object) error {
	return fmt.Errorf("expected a %s, got %T", want, got)
}
