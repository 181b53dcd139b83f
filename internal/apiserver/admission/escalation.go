package admission

import (
	"context"
	"errors"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"berth.dev/berth/internal/apiserver/authz/rbac"
)

// escalation lets nobody hand out rights that they do not have.
type escalation struct {
	*admission.Handler
	authorizer authorizer.Authorizer
	rbac       *rbac.Authorizer
}

func newEscalation(o Options) *escalation {
	return &escalation{admission.NewHandler(admission.Create, admission.Update), o.Authorizer, o.RBAC}
}

// Validate implements admission.ValidationInterface.
func (p *escalation) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != rbacv1.GroupName || a.GetSubresource() != "" {
		return nil
	}
	who := a.GetUserInfo()
	if who == nil || slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
		return nil
	}
	if a.GetOperation() == admission.Update && onlyCollecting(a.GetObject(), a.GetOldObject()) {
		return nil
	}
	switch obj := a.GetObject().(type) {
	case *rbacv1.Role:
		return p.role(ctx, a, obj.Rules, nil)
	case *rbacv1.ClusterRole:
		aggregated := obj.AggregationRule
		if old, ok := a.GetOldObject().(*rbacv1.ClusterRole); ok && old != nil && old.AggregationRule != nil {
			aggregated = old.AggregationRule
		}
		return p.role(ctx, a, obj.Rules, aggregated)
	case *rbacv1.RoleBinding:
		return p.binding(ctx, a, obj.Namespace, obj.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return p.binding(ctx, a, "", obj.RoleRef)
	}
	return nil
}

func (p *escalation) role(ctx context.Context, a admission.Attributes, rules []rbacv1.PolicyRule, aggregated *rbacv1.AggregationRule) error {
	if p.may(ctx, a, "escalate", a.GetResource().Resource, a.GetNamespace(), a.GetName()) {
		return nil
	}
	if err := p.rbac.ConfirmNoEscalation(ctx, a.GetUserInfo(), a.GetNamespace(), rules); err != nil {
		return admission.NewForbidden(a, err)
	}
	// Whoever may set what is gathered can gather anything.
	if aggregated != nil && p.rbac.ConfirmNoEscalation(ctx, a.GetUserInfo(), "", everything) != nil {
		return admission.NewForbidden(a, errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

func (p *escalation) binding(ctx context.Context, a admission.Attributes, namespace string, ref rbacv1.RoleRef) error {
	resource, in := "clusterroles", ""
	if ref.Kind == "Role" {
		resource, in = "roles", namespace
	}
	if p.may(ctx, a, "bind", resource, in, ref.Name) {
		return nil
	}
	rules, err := p.rbac.RoleRules(ctx, ref, namespace)
	if err != nil {
		return err
	}
	if err := p.rbac.ConfirmNoEscalation(ctx, a.GetUserInfo(), namespace, rules); err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

// may asks for the verbs that lift the check.
func (p *escalation) may(ctx context.Context, a admission.Attributes, verb, resource, namespace, name string) bool {
	decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: verb, ResourceRequest: true,
		APIGroup: rbacv1.GroupName, APIVersion: "*", Resource: resource, Namespace: namespace, Name: name,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

var everything = []rbacv1.PolicyRule{
	{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
	{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
}

// onlyCollecting says that an update changes nothing but what garbage
// collection needs: owners and finalizers.
func onlyCollecting(obj, old runtime.Object) bool {
	a, ok := obj.DeepCopyObject().(metav1.Object)
	b, ok2 := old.(metav1.Object)
	if !ok || !ok2 {
		return false
	}
	a.SetOwnerReferences(b.GetOwnerReferences())
	a.SetFinalizers(b.GetFinalizers())
	a.SetManagedFields(b.GetManagedFields())
	return equality.Semantic.DeepEqual(a, b)
}
