package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

var updateOptions = metav1.UpdateOptions{}

// writer is the part of a typed client that ensure needs.
type writer[T any] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Get(context.Context, string, metav1.GetOptions) (T, error)
	Update(context.Context, T, metav1.UpdateOptions) (T, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

type object[T any] interface {
	metav1.Object
	comparable
	DeepCopy() T
}

// ensure creates want, or adds to have what merge finds missing there. Nothing
// is ever taken away: what an administrator added stays.
func ensure[T object[T]](ctx context.Context, api writer[T], have, want T, merge func(into, want T) bool) error {
	var none T
	if have == none {
		_, err := api.Create(ctx, want.DeepCopy(), metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return failed(want, err)
		}
		if have, err = api.Get(ctx, want.GetName(), metav1.GetOptions{}); err != nil {
			return failed(want, err)
		}
	}
	if protected(have) {
		return nil
	}
	next := have.DeepCopy()
	changed := addMissing(next, want)
	if merge(next, want) {
		changed = true
	}
	if !changed {
		return nil
	}
	_, err := api.Update(ctx, next, updateOptions)
	return failed(want, err)
}

func remove[T any](ctx context.Context, api writer[T], name string) error {
	if err := api.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return nil
}

func failed(want metav1.Object, err error) error {
	if err != nil {
		return fmt.Errorf("writing default %T %s: %w", want, want.GetName(), err)
	}
	return nil
}

// addMissing adds labels and annotations; a value that is there stays.
func addMissing(to, from metav1.Object) bool {
	join := func(have, want map[string]string) (map[string]string, bool) {
		joined := map[string]string{}
		maps.Copy(joined, want)
		maps.Copy(joined, have)
		return joined, len(joined) != len(have)
	}
	labels, a := join(to.GetLabels(), from.GetLabels())
	annotations, b := join(to.GetAnnotations(), from.GetAnnotations())
	to.SetLabels(labels)
	to.SetAnnotations(annotations)
	return a || b
}

func mergeClusterRole(into, want *rbacv1.ClusterRole) bool {
	if want.AggregationRule == nil {
		return mergeRules(&into.Rules, want.Rules)
	}
	// The rules themselves are gathered, see aggregate.
	if into.AggregationRule == nil {
		into.AggregationRule = want.AggregationRule.DeepCopy()
		return true
	}
	changed := false
	for _, selector := range want.AggregationRule.ClusterRoleSelectors {
		if !slices.ContainsFunc(into.AggregationRule.ClusterRoleSelectors, func(s metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(s, selector) }) {
			into.AggregationRule.ClusterRoleSelectors = append(into.AggregationRule.ClusterRoleSelectors, selector)
			changed = true
		}
	}
	return changed
}

func mergeRole(into, want *rbacv1.Role) bool { return mergeRules(&into.Rules, want.Rules) }

func mergeRules(have *[]rbacv1.PolicyRule, want []rbacv1.PolicyRule) bool {
	covered, missing := validation.Covers(*have, want)
	*have = append(*have, missing...)
	return !covered
}

func mergeClusterRoleBinding(into, want *rbacv1.ClusterRoleBinding) bool {
	return mergeSubjects(&into.Subjects, want.Subjects)
}

func mergeRoleBinding(into, want *rbacv1.RoleBinding) bool {
	return mergeSubjects(&into.Subjects, want.Subjects)
}

func mergeSubjects(have *[]rbacv1.Subject, want []rbacv1.Subject) bool {
	changed := false
	for _, s := range want {
		if !slices.Contains(*have, s) {
			*have = append(*have, s)
			changed = true
		}
	}
	return changed
}

func same(a, b []rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(a, b) }
