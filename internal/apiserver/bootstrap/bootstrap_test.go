package bootstrap

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"berth.dev/berth/internal/apiserver/authz/rbac"
	"berth.dev/berth/internal/apiserver/bootstrap/policy"
)

// writes counts what was written through client since the last call.
func writes(client *fake.Clientset) []string {
	var out []string
	for _, a := range client.Actions() {
		if verb := a.GetVerb(); !slices.Contains([]string{"list", "watch", "get"}, verb) {
			out = append(out, verb+" "+a.GetResource().Resource)
		}
	}
	client.ClearActions()
	return out
}

func synced(t *testing.T, client *fake.Clientset, prepare func(informers.SharedInformerFactory)) informers.SharedInformerFactory {
	t.Helper()
	f := informers.NewSharedInformerFactory(client, 0)
	f.Core().V1().Namespaces().Informer()
	prepare(f)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	f.Start(stop)
	f.WaitForCacheSync(stop)
	return f
}

func TestNamespaces(t *testing.T) {
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	f := synced(t, client, func(informers.SharedInformerFactory) {})
	if err := Namespaces(t.Context(), client, f); err != nil {
		t.Fatal(err)
	}
	if got := writes(client); len(got) != 3 {
		t.Errorf("wrote %v", got)
	}
	for _, name := range []string{"kube-system", "kube-public", "kube-node-lease"} {
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
	client.PrependReactor("create", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(context.DeadlineExceeded)
	})
	late := synced(t, fake.NewClientset(), func(informers.SharedInformerFactory) {})
	if err := Namespaces(t.Context(), client, late); err == nil {
		t.Error("a failure is hidden")
	}
}

// run starts Roles over objects and waits until it has settled.
func run(t *testing.T, client *fake.Clientset) {
	t.Helper()
	var roles *Roles
	synced(t, client, func(f informers.SharedInformerFactory) {
		authorizer, err := rbac.New(f, policy.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		if roles, err = NewRoles(client, f, authorizer, policy.Defaults()); err != nil {
			t.Fatal(err)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- roles.Run(ctx) }()
	quiet := 0
	for seen := -1; quiet < 5; time.Sleep(20 * time.Millisecond) {
		if n := len(client.Actions()); n == seen && !roles.missing() {
			quiet++
		} else {
			seen, quiet = n, 0
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestRoles(t *testing.T) {
	client := fake.NewClientset()
	run(t, client)
	d := policy.Defaults()
	all := len(d.ClusterRoles) + len(d.ClusterRoleBindings) + len(d.Roles) + len(d.RoleBindings)
	if got := writes(client); len(got) != all {
		t.Errorf("%d writes for %d objects: %v", len(got), all, got)
	}
	t.Logf("%d objects", all)
	run(t, client)
	if got := writes(client); len(got) != 0 {
		t.Errorf("a second start wrote %v", got)
	}
	view, err := client.RbacV1().ClusterRoles().Get(t.Context(), "view", metav1.GetOptions{})
	if err != nil || len(view.Rules) < 5 {
		t.Errorf("view: %v %v", view, err)
	}
}

func TestRolesAreRepaired(t *testing.T) {
	ctx := t.Context()
	client := fake.NewClientset()
	run(t, client)
	roles, bindings := client.RbacV1().ClusterRoles(), client.RbacV1().ClusterRoleBindings()
	get := func(name string) *rbacv1.ClusterRole {
		t.Helper()
		r, err := roles.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	extra := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}
	change := func(name string, f func(*rbacv1.ClusterRole)) *rbacv1.ClusterRole {
		t.Helper()
		r := get(name)
		f(r)
		r, err := roles.Update(ctx, r, metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	change("system:discovery", func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{extra} })
	mine := change("system:basic-user", func(r *rbacv1.ClusterRole) {
		r.Rules = nil
		r.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
	})
	if err := roles.Delete(ctx, "system:monitoring", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b, err := bindings.Get(ctx, "system:public-info-viewer", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.Subjects = []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "jane"}}
	if _, err := bindings.Update(ctx, b, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wrong, err := bindings.Get(ctx, "system:discovery", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wrong.RoleRef.Name = "cluster-admin"
	if _, err := bindings.Update(ctx, wrong, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	client.ClearActions()
	run(t, client)
	got := writes(client)
	slices.Sort(got)
	want := []string{"create clusterrolebindings", "create clusterroles", "delete clusterrolebindings", "update clusterrolebindings", "update clusterroles"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r := get("system:discovery"); len(r.Rules) < 2 || !slices.ContainsFunc(r.Rules, func(p rbacv1.PolicyRule) bool { return cmp.Equal(p, extra) }) {
		t.Errorf("system:discovery: %v", r.Rules)
	}
	if r := get("system:basic-user"); cmp.Diff(mine, r) != "" {
		t.Error("a role that an administrator took over was changed")
	}
	if b, err := bindings.Get(ctx, "system:public-info-viewer", metav1.GetOptions{}); err != nil || len(b.Subjects) != 3 {
		t.Errorf("system:public-info-viewer: %v %v", b.Subjects, err)
	}
	if b, err := bindings.Get(ctx, "system:discovery", metav1.GetOptions{}); err != nil || b.RoleRef.Name != "system:discovery" {
		t.Errorf("system:discovery: %v %v", b.RoleRef, err)
	}
}

// A start that was cut off goes on where it stopped.
func TestInterrupted(t *testing.T) {
	client := fake.NewClientset()
	n := 0
	client.PrependReactor("create", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		n++
		return n > 20 && n < 40, nil, apierrors.NewInternalError(context.Canceled)
	})
	f := informers.NewSharedInformerFactory(client, 0)
	authorizer, err := rbac.New(f, policy.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	roles, err := NewRoles(client, f, authorizer, policy.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if err := roles.Run(t.Context()); err == nil {
		t.Error("failures are hidden")
	}
	run(t, client)
	if r := writes(client); len(r) == 0 {
		t.Error("nothing was written")
	}
}

// Gathered rules are applied as upstream's controller does: they are its own,
// the rest of the role is its writer's.
func TestGatheredRulesAreApplied(t *testing.T) {
	client := fake.NewClientset()
	rule := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"ships"}}
	for _, role := range []*rbacv1.ClusterRole{
		{ObjectMeta: metav1.ObjectMeta{Name: "fleet"}, AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"fleet": "yes"}}}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "ships", Labels: map[string]string{"fleet": "yes"}}, Rules: []rbacv1.PolicyRule{rule}},
	} {
		if _, err := client.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{FieldManager: "kubectl"}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, client)
	fleet, err := client.RbacV1().ClusterRoles().Get(t.Context(), "fleet", metav1.GetOptions{})
	if err != nil || !cmp.Equal(fleet.Rules, []rbacv1.PolicyRule{rule}) || fleet.AggregationRule == nil {
		t.Fatalf("%+v, %v", fleet, err)
	}
	if !slices.ContainsFunc(fleet.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == "clusterrole-aggregation-controller" && f.Operation == metav1.ManagedFieldsOperationApply && string(f.FieldsV1.Raw) == `{"f:rules":{}}`
	}) {
		t.Errorf("fields of %+v", fleet.ManagedFields)
	}
}
