package rbac

import (
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

func TestDefaultsUntilSettled(t *testing.T) {
	keep := map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"}
	taken := clusterRole("taken-over", rule("get", "", "services"))
	grown := clusterRole("grown", rule("get", "", "old"))
	grown.Annotations = keep
	client := fake.NewClientset(taken, grown, grant("taken-over", "taken-over", "User:jane"), grant("grown", "grown", "User:sam"))
	f := informers.NewSharedInformerFactory(client, 0)
	a, err := New(f, Objects{
		ClusterRoles: []*rbacv1.ClusterRole{
			clusterRole("scheduler", rule("get", "", "pods")),
			clusterRole("everybody", rule("get", "", "nodes")),
			clusterRole("taken-over", rule("get", "", "secrets")),
			clusterRole("grown", rule("get", "", "new")),
		},
		ClusterRoleBindings: []*rbacv1.ClusterRoleBinding{
			grant("scheduler", "scheduler", "User:system:kube-scheduler"),
			grant("everybody", "everybody", "Group:system:authenticated"),
			grant("taken-over", "taken-over", "User:system:kube-scheduler"),
			grant("grown", "grown", "User:sam"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, user, group, request string, want bool) {
		t.Helper()
		d, _, _ := a.Authorize(t.Context(), ask(who(user, group), request))
		if (d == authorizer.DecisionAllow) != want {
			t.Errorf("%s: %s %s is %v, want allowed %v", when, user, request, d, want)
		}
	}
	const all = "system:authenticated"
	check("before the informers", "system:kube-scheduler", all, "get core/pods ns p", true)
	check("before the informers", "jane", all, "get core/nodes - n", false)

	stop := make(chan struct{})
	defer close(stop)
	f.Start(stop)
	f.WaitForCacheSync(stop)
	within(t, a.HasSynced)
	check("synced", "system:kube-scheduler", all, "get core/pods ns p", true)
	check("synced", "jane", all, "get core/nodes - n", true)
	check("synced", "jane", all, "get core/services ns s", true)
	check("synced: an administrator's version counts", "jane", all, "get core/secrets ns s", false)
	check("synced: so does its binding", "system:kube-scheduler", all, "get core/secrets ns s", false)
	check("synced: a newer binary adds", "sam", all, "get core/new ns s", true)
	check("synced: and keeps", "sam", all, "get core/old ns s", true)

	a.Settle()
	check("settled", "system:kube-scheduler", all, "get core/pods ns p", false)
	check("settled", "jane", all, "get core/services ns s", true)
	check("settled", "sam", all, "get core/new ns s", false)

	if _, err := client.RbacV1().Roles("ns").Create(t.Context(), role("ns", "r", rule("get", "", "pods")), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RbacV1().RoleBindings("ns").Create(t.Context(), grantIn("ns", "b", ref("Role", "r"), "User:joe"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	allowed := func() bool {
		d, _, _ := a.Authorize(t.Context(), ask(who("joe"), "get core/pods ns p"))
		return d == authorizer.DecisionAllow
	}
	within(t, allowed)
	if err := client.RbacV1().RoleBindings("ns").Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	within(t, func() bool { return !allowed() })
}

func within(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("not within five seconds")
}
