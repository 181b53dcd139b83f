package admission

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
)

func TestEscalation(t *testing.T) {
	rule := func(verb, group, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
	}
	clusterRole := func(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	}
	role := func(name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
		return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Rules: rules}
	}
	binding := func(kind, name string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "b"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}}
	}
	to := func(who, role string) *rbacv1.ClusterRoleBinding {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: who + role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{{Kind: "User", Name: who}}}
	}
	aggregated := func(name string) *rbacv1.ClusterRole {
		r := clusterRole(name)
		r.AggregationRule = &rbacv1.AggregationRule{}
		return r
	}
	s := newSetup(t,
		clusterRole("pods", rule("get", "", "pods")), clusterRole("secrets", rule("get", "", "secrets")), role("local", rule("get", "", "secrets")),
		clusterRole("escalator", rule("escalate", "rbac.authorization.k8s.io", "roles"), rule("bind", "rbac.authorization.k8s.io", "clusterroles", "secrets")),
		clusterRole("root", rule("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}),
		to("jane", "pods"), to("ed", "escalator"), to("root", "root"),
	)
	const g = "rbac.authorization.k8s.io/"
	grown := role("r", rule("get", "", "secrets"))
	collected := grown.DeepCopy()
	collected.Finalizers, collected.OwnerReferences = []string{"x"}, []metav1.OwnerReference{{Name: "o"}}
	relabelled := grown.DeepCopy()
	relabelled.Labels = map[string]string{"a": "b"}
	const held = "is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
	for name, c := range map[string]struct {
		user     string
		groups   []string
		op       admission.Operation
		resource string
		obj, old runtime.Object
		refusal  string
	}{
		"held":                    {user: "jane", resource: "roles/", obj: role("r", rule("get", "", "pods"))},
		"not held":                {user: "jane", resource: "roles/", obj: role("r", rule("get", "", "secrets")), refusal: `roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["system:authenticated"]) ` + held},
		"not held, cluster":       {user: "jane", resource: "clusterroles/", obj: clusterRole("r", rule("get", "", "secrets")), refusal: held},
		"masters":                 {user: "x", groups: []string{"system:masters"}, resource: "roles/", obj: role("r", rule("*", "*", "*"))},
		"escalate":                {user: "ed", resource: "roles/", obj: role("r", rule("get", "", "secrets"))},
		"escalate, other kind":    {user: "ed", resource: "clusterroles/", obj: clusterRole("r", rule("get", "", "secrets")), refusal: held},
		"update":                  {user: "jane", op: admission.Update, resource: "roles/", obj: grown, old: role("r"), refusal: held},
		"update by the collector": {user: "jane", op: admission.Update, resource: "roles/", obj: collected, old: grown},
		"update of labels":        {user: "jane", op: admission.Update, resource: "roles/", obj: relabelled, old: grown, refusal: held},
		"bind held":               {user: "jane", resource: "rolebindings/", obj: binding("ClusterRole", "pods")},
		"bind not held":           {user: "jane", resource: "rolebindings/", obj: binding("ClusterRole", "secrets"), refusal: held},
		"bind local":              {user: "jane", resource: "rolebindings/", obj: binding("Role", "local"), refusal: held},
		"bind missing":            {user: "jane", resource: "rolebindings/", obj: binding("Role", "gone"), refusal: `roles.rbac.authorization.k8s.io "gone" not found`},
		"bind by right":           {user: "ed", resource: "rolebindings/", obj: binding("ClusterRole", "secrets")},
		"bind other by right":     {user: "ed", resource: "rolebindings/", obj: binding("ClusterRole", "pods"), refusal: "is attempting to grant"},
		"bind in cluster":         {user: "jane", resource: "clusterrolebindings/", obj: to("jane", "secrets"), refusal: held},
		"aggregate":               {user: "jane", resource: "clusterroles/", obj: aggregated("a"), refusal: "must have cluster-admin privileges to use the aggregationRule"},
		"stop aggregating":        {user: "jane", op: admission.Update, resource: "clusterroles/", obj: clusterRole("a"), old: aggregated("a"), refusal: "must have cluster-admin privileges to use the aggregationRule"},
		"aggregate as root":       {user: "root", resource: "clusterroles/", obj: aggregated("a")},
	} {
		t.Run(name, func(t *testing.T) {
			if c.op == "" {
				c.op = admission.Create
			}
			expect(t, s.do(t, request{op: c.op, resource: g + c.resource, obj: c.obj, old: c.old, user: c.user, groups: c.groups}), c.refusal)
		})
	}
}
