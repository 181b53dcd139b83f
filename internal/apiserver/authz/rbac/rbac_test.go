package rbac

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"pgregory.net/rapid"
)

// fixed decides from objects that never change.
func fixed(o Objects) *Authorizer {
	s := &store{}
	s.current.Store(&made{synced: true, index: newIndex(o)})
	return &Authorizer{store: s}
}

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), ResourceNames: names}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

func ref(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func subject(word string) rbacv1.Subject {
	kind, name, _ := strings.Cut(word, ":")
	s := rbacv1.Subject{Kind: kind, Name: name}
	if kind == rbacv1.ServiceAccountKind {
		s.Namespace, s.Name, _ = strings.Cut(name, "/")
	}
	return s
}

func grant(name, roleName string, subjects ...string) *rbacv1.ClusterRoleBinding {
	b := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref("ClusterRole", roleName)}
	for _, s := range subjects {
		b.Subjects = append(b.Subjects, subject(s))
	}
	return b
}

func grantIn(namespace, name string, r rbacv1.RoleRef, subjects ...string) *rbacv1.RoleBinding {
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: r}
	for _, s := range subjects {
		b.Subjects = append(b.Subjects, subject(s))
	}
	return b
}

func who(name string, groups ...string) user.Info {
	return &user.DefaultInfo{Name: name, Groups: groups}
}

// ask reads "verb group/resource/subresource namespace name"; "-" is empty.
func ask(w user.Info, words string) authorizer.AttributesRecord {
	f := strings.Fields(words)
	for i := range f {
		if f[i] == "-" {
			f[i] = ""
		}
	}
	if len(f) == 2 {
		return authorizer.AttributesRecord{User: w, Verb: f[0], Path: f[1]}
	}
	parts := strings.SplitN(f[1], "/", 3)
	a := authorizer.AttributesRecord{User: w, Verb: f[0], ResourceRequest: true, APIGroup: parts[0], Resource: parts[1], Namespace: f[2], Name: f[3]}
	if a.APIGroup == "core" {
		a.APIGroup = ""
	}
	if len(parts) == 3 {
		a.Subresource = parts[2]
	}
	return a
}

func TestMatrix(t *testing.T) {
	a := fixed(Objects{
		ClusterRoles: []*rbacv1.ClusterRole{
			clusterRole("root", rule("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}),
			clusterRole("reader", rule("get,list", "", "pods")),
			clusterRole("logs", rule("get", "", "pods/log")),
			clusterRole("scaler", rule("update", "*", "*/scale")),
			clusterRole("named", rule("get,create,list", "", "secrets", "a", "b")),
			clusterRole("paths", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics", "/healthz/*"}}),
			clusterRole("accounts", rule("get", "apps", "statefulsets")),
		},
		ClusterRoleBindings: []*rbacv1.ClusterRoleBinding{
			grant("root", "root", "User:root", "Group:admins"),
			grant("scaler", "scaler", "User:scaler"),
			grant("named", "named", "User:named"),
			grant("paths", "paths", "User:paths"),
			grant("logs", "logs", "User:logs"),
			grant("accounts", "accounts", "ServiceAccount:ns/sa", "ServiceAccount:/nowhere"),
		},
		Roles: []*rbacv1.Role{role("one", "writer", rule("create", "", "pods"))},
		RoleBindings: []*rbacv1.RoleBinding{
			grantIn("one", "reader", ref("ClusterRole", "reader"), "User:jane"),
			grantIn("one", "writer", ref("Role", "writer"), "User:jane", "ServiceAccount:/local"),
			grantIn("two", "writer", ref("Role", "writer"), "User:jane"), // no such role there
		},
	})
	for _, c := range []struct {
		who   user.Info
		asks  string
		allow bool
	}{
		{who("root"), "delete core/nodes - n", true},
		{who("root"), "get /anything", true},
		{who("x", "admins"), "patch apps/deployments/scale one d", true},
		{who("x", "other"), "get core/pods one p", false},
		{who("jane"), "get core/pods one p", true},
		{who("jane"), "get core/pods two p", false},
		{who("jane"), "get core/pods - -", false},
		{who("jane"), "list core/pods one -", true},
		{who("jane"), "watch core/pods one -", false},
		{who("jane"), "create core/pods one -", true},
		{who("jane"), "create core/pods two -", false},
		{who("jane"), "get apps/pods one p", false},
		{who("jane"), "get core/pods/log one p", false},
		{who("jane"), "get /api", false},
		{who("logs"), "get core/pods/log any p", true},
		{who("logs"), "get core/pods any p", false},
		{who("logs"), "get core/pods/logs any p", false},
		{who("scaler"), "update apps/statefulsets/scale one w", true},
		{who("scaler"), "update apps/statefulsets one w", false},
		{who("scaler"), "update apps/statefulsets/status one w", false},
		{who("named"), "get core/secrets ns a", true},
		{who("named"), "get core/secrets ns c", false},
		{who("named"), "list core/secrets ns -", false},
		{who("named"), "create core/secrets ns -", false},
		{who("paths"), "get /metrics", true},
		{who("paths"), "get /metrics/more", false},
		{who("paths"), "get /healthz/etcd", true},
		{who("paths"), "get /healthz/", true},
		{who("paths"), "get /healthz", false},
		{who("paths"), "post /metrics", false},
		{who("paths"), "get core/pods - -", false},
		{who("system:serviceaccount:ns:sa"), "get apps/statefulsets any w", true},
		{who("system:serviceaccount:ns:other"), "get apps/statefulsets any w", false},
		{who("system:serviceaccount::nowhere"), "get apps/statefulsets any w", false},
		{who("system:serviceaccount:one:local"), "create core/pods one -", true},
		{who("system:serviceaccount:two:local"), "create core/pods one -", false},
		{who("sa"), "get apps/statefulsets any w", false},
		{nil, "get core/pods one p", false},
	} {
		decision, _, err := a.Authorize(t.Context(), ask(c.who, c.asks))
		if err != nil {
			t.Error(err)
		}
		if (decision == authorizer.DecisionAllow) != c.allow {
			t.Errorf("%v %s: %v, want allow %v", c.who, c.asks, decision, c.allow)
		}
		if decision == authorizer.DecisionDeny {
			t.Errorf("%v %s: RBAC must never deny", c.who, c.asks)
		}
	}
}

func TestReasons(t *testing.T) {
	a := fixed(Objects{
		ClusterRoles:        []*rbacv1.ClusterRole{clusterRole("reader", rule("get", "", "pods"))},
		ClusterRoleBindings: []*rbacv1.ClusterRoleBinding{grant("all", "reader", "User:jane"), grant("gone", "missing", "User:joe")},
		RoleBindings:        []*rbacv1.RoleBinding{grantIn("ns", "some", ref("ClusterRole", "reader"), "ServiceAccount:ns/sa"), grantIn("ns", "lost", ref("Role", "nothing"), "User:joe")},
	})
	for _, c := range []struct{ user, want string }{
		{"jane", `RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to User "jane"`},
		{"system:serviceaccount:ns:sa", `RBAC: allowed by RoleBinding "some/ns" of ClusterRole "reader" to ServiceAccount "sa/ns"`},
		{"joe", `RBAC: [clusterroles.rbac.authorization.k8s.io "missing" not found, roles.rbac.authorization.k8s.io "nothing" not found]`},
		{"jim", ""},
	} {
		if _, got, _ := a.Authorize(t.Context(), ask(who(c.user), "get core/pods ns p")); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.user, got, c.want)
		}
	}
}

func TestAggregation(t *testing.T) {
	gathering := func(name, label string, labels map[string]string) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
				{MatchLabels: map[string]string{label: "true"}},
				{MatchLabels: map[string]string{label: "true"}}, // twice: no difference
			}},
		}
	}
	labelled := func(name string, label string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
		r := clusterRole(name, rules...)
		r.Labels = map[string]string{label: "true"}
		return r
	}
	all := []*rbacv1.ClusterRole{
		gathering("admin", "to-admin", map[string]string{"to-edit": "true"}), // a circle
		gathering("edit", "to-edit", map[string]string{"to-admin": "true"}),
		labelled("z", "to-admin", rule("get", "", "z")),
		labelled("a", "to-edit", rule("get", "", "a"), rule("get", "", "z")),
		clusterRole("apart", rule("get", "", "apart")),
	}
	got := aggregate(all)
	want := map[string][]rbacv1.PolicyRule{
		"admin": {rule("get", "", "a"), rule("get", "", "z")},
		"edit":  {rule("get", "", "a"), rule("get", "", "z")},
		"z":     {rule("get", "", "z")},
		"a":     {rule("get", "", "a"), rule("get", "", "z")},
		"apart": {rule("get", "", "apart")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfirmNoEscalation(t *testing.T) {
	a := fixed(Objects{
		ClusterRoles: []*rbacv1.ClusterRole{clusterRole("some", rule("get,list", "", "pods"), rule("get", "", "secrets", "a"), rule("*", "apps", "*"))},
		RoleBindings: []*rbacv1.RoleBinding{grantIn("ns", "some", ref("ClusterRole", "some"), "User:jane")},
	})
	jane := who("jane", "g1", "g2")
	for _, c := range []struct {
		rules []rbacv1.PolicyRule
		want  string
	}{
		{[]rbacv1.PolicyRule{rule("get", "", "pods"), rule("list", "", "pods"), rule("get", "", "pods", "one")}, ""},
		{[]rbacv1.PolicyRule{rule("delete,get", "apps", "statefulsets,deployments/scale")}, ""},
		{[]rbacv1.PolicyRule{rule("get", "", "secrets", "a")}, ""},
		{nil, ""},
		{[]rbacv1.PolicyRule{rule("get", "", "secrets")}, `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`},
		{[]rbacv1.PolicyRule{rule("get", "", "secrets", "a", "b")}, `{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}`},
		{[]rbacv1.PolicyRule{rule("get,watch,delete", "", "pods,nodes")}, `{APIGroups:[""], Resources:["nodes"], Verbs:["get" "watch" "delete"]}` + "\n" + `{APIGroups:[""], Resources:["pods"], Verbs:["watch" "delete"]}`},
		{[]rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}}, `{NonResourceURLs:["/metrics"], Verbs:["get"]}`},
		{[]rbacv1.PolicyRule{rule("*", "*", "*")}, `{APIGroups:["*"], Resources:["*"], Verbs:["*"]}`},
	} {
		err := a.ConfirmNoEscalation(t.Context(), jane, "ns", c.rules)
		got := ""
		if err != nil {
			got = err.Error()
		}
		want := c.want
		if want != "" {
			want = `user "jane" (groups=["g1" "g2"]) is attempting to grant RBAC permissions not currently held:` + "\n" + want
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if a.ConfirmNoEscalation(t.Context(), jane, "other", []rbacv1.PolicyRule{rule("get", "", "pods")}) == nil {
		t.Error("rights of one namespace were handed out in another")
	}
}

// Whatever one may grant, one may do: the check against escalation and the
// decision agree.
func TestGrantImpliesRight(t *testing.T) {
	word := func(of ...string) *rapid.Generator[string] { return rapid.SampledFrom(of) }
	verbs, groups := word("get", "list", "create", "*"), word("", "apps", "*")
	resources, names := word("pods", "pods/log", "*/log", "nodes", "*"), word("a", "b")
	anyRule := rapid.Custom(func(t *rapid.T) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{
			Verbs:         rapid.SliceOfN(verbs, 1, 2).Draw(t, "verbs"),
			APIGroups:     rapid.SliceOfN(groups, 1, 2).Draw(t, "groups"),
			Resources:     rapid.SliceOfN(resources, 1, 2).Draw(t, "resources"),
			ResourceNames: rapid.SliceOfN(names, 0, 2).Draw(t, "names"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SliceOfN(anyRule, 0, 4).Draw(t, "held")
		granted := rapid.SliceOfN(anyRule, 1, 2).Draw(t, "granted")
		a := fixed(Objects{
			ClusterRoles:        []*rbacv1.ClusterRole{clusterRole("r", held...)},
			ClusterRoleBindings: []*rbacv1.ClusterRoleBinding{grant("r", "r", "User:jane")},
		})
		if a.ConfirmNoEscalation(t.Context(), who("jane"), "ns", granted) != nil {
			return
		}
		for _, verb := range []string{"get", "list", "create", "patch"} {
			for _, resource := range []string{"core/pods", "core/pods/log", "apps/nodes", "core/nodes/log", "batch/x"} {
				for _, name := range []string{"a", "b", "c", "-"} {
					request := ask(who("jane"), verb+" "+resource+" ns "+name)
					if !RulesAllow(request, granted...) {
						continue
					}
					if decision, _, _ := a.Authorize(t.Context(), request); decision != authorizer.DecisionAllow {
						t.Fatalf("may grant %v but not do %s %s %s with %v", granted, verb, resource, name, held)
					}
				}
			}
		}
	})
}

func TestRulesFor(t *testing.T) {
	a := fixed(Objects{
		ClusterRoles: []*rbacv1.ClusterRole{
			clusterRole("mixed", rule("get", "", "pods"), rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}),
		},
		ClusterRoleBindings: []*rbacv1.ClusterRoleBinding{grant("b", "mixed", "User:jane"), grant("c", "gone", "User:jane")},
	})
	resources, paths, incomplete, err := a.RulesFor(t.Context(), who("jane"), "ns")
	if len(resources) != 1 || len(paths) != 1 || incomplete || err == nil {
		t.Errorf("%v %v %v %v", resources, paths, incomplete, err)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	var o Objects
	for i := range 100 {
		name := string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		o.ClusterRoles = append(o.ClusterRoles, clusterRole(name, rule("get", "", "pods")))
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, grant(name, name, "User:"+name))
	}
	a := fixed(o)
	request := ask(who("c", "system:authenticated"), "get core/pods ns p")
	for b.Loop() {
		if d, _, _ := a.Authorize(b.Context(), request); d != authorizer.DecisionAllow {
			b.Fatal(d)
		}
	}
}
