package secure_test

import (
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/pki"
)

func TestIdentities(t *testing.T) {
	c := start(t)
	ctx := t.Context()

	t.Run("administrator", func(t *testing.T) {
		review, err := c.withCert(c.set.Admin).CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil || len(review.Items) < 4 {
			t.Errorf("got %d namespaces, %v", len(review.Items), err)
		}
	})
	t.Run("anonymous", func(t *testing.T) {
		anonymous := c.tls(func(*rest.Config) {})
		if _, err := anonymous.Discovery().ServerVersion(); err != nil {
			t.Error(err)
		}
		_, err := anonymous.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		forbidden(t, err, `User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"`)
		err = anonymous.Discovery().RESTClient().Get().AbsPath("/apis").Do(ctx).Error()
		forbidden(t, err, `User "system:anonymous" cannot get path "/apis"`)
	})
	t.Run("plain user", func(t *testing.T) {
		pair, err := c.set.CA.Issue(pki.Subject{CommonName: "jane", Organization: []string{"devs"}})
		if err != nil {
			t.Fatal(err)
		}
		jane := c.withCert(pair)
		if _, err := jane.Discovery().ServerPreferredResources(); err != nil {
			t.Error(err)
		}
		_, err = jane.CoreV1().Secrets("default").Get(ctx, "s", metav1.GetOptions{})
		forbidden(t, err, `secrets "s" is forbidden: User "jane" cannot get resource "secrets" in API group "" in the namespace "default"`)
	})
	t.Run("wrong token", func(t *testing.T) {
		_, err := c.withToken("nonsense").CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if !apierrors.IsUnauthorized(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("foreign certificate", func(t *testing.T) {
		other, err := pki.Ensure(t.TempDir(), pki.Options{NodeName: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.withCert(other.Admin).CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("serving certificate is no client", func(t *testing.T) {
		if _, err := c.withCert(c.set.NodeServing).CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPodIdentity(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	c.account("default", "default")
	pod := c.pod("web-0", "n1")

	if pod.Spec.ServiceAccountName != "default" || pod.Spec.DeprecatedServiceAccount != "default" {
		t.Errorf("account is %q, %q", pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount)
	}
	if len(pod.Spec.Volumes) != 1 || !strings.HasPrefix(pod.Spec.Volumes[0].Name, "kube-api-access-") ||
		len(pod.Spec.Containers[0].VolumeMounts) != 1 {
		t.Fatalf("no token volume: %+v", pod.Spec)
	}
	seconds := pod.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	node := c.withCert(c.set.NodeClient)
	answer, err := node.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	self := c.withToken(answer.Status.Token)
	who, err := self.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := who.Status.UserInfo; got.Username != "system:serviceaccount:default:default" || got.Extra["authentication.kubernetes.io/pod-name"][0] != "web-0" {
		t.Errorf("token is of %+v", got)
	}
	if _, err := self.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the pod may list pods: %v", err)
	}

	t.Run("another node", func(t *testing.T) {
		other := c.client(c.As("system:node:n2", "system:nodes"))
		_, err := other.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", request.DeepCopy(), metav1.CreateOptions{})
		forbidden(t, err, "no relationship found between node 'n2' and this object")
	})
	t.Run("unbound", func(t *testing.T) {
		_, err := node.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		forbidden(t, err, "node requested token not bound to a pod")
	})
	t.Run("deleted pod", func(t *testing.T) {
		if err := c.Client.CoreV1().Pods("default").Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the token of a deleted pod is refused", func() bool {
			_, err := self.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
			return apierrors.IsUnauthorized(err)
		})
	})
}

func TestNodeRights(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	c.account("default", "default")
	for _, name := range []string{"mine", "other"} {
		if _, err := c.Client.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	node := c.client(c.As("system:node:n1", "system:nodes"))
	if _, err := node.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	_, err := node.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}, metav1.CreateOptions{})
	forbidden(t, err, `node "n1" is not allowed to modify node "n2"`)
	if _, err := node.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", "n1").String()}); err != nil {
		t.Error(err)
	}
	// It sees the pods of others, for network policies (docs/decisions/0031), and that is all.
	other, err := c.Client.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "other"},
		Spec:       corev1.PodSpec{NodeName: "n2", AutomountServiceAccountToken: new(bool), Containers: []corev1.Container{{Name: "c", Image: "demo"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := node.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err != nil || len(all.Items) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	forbidden(t, node.CoreV1().Pods("default").Delete(ctx, "other", metav1.DeleteOptions{}), `node "n1" can only delete pods with spec.nodeName set to itself`)
	_, err = node.CoreV1().Pods("default").UpdateStatus(ctx, other, metav1.UpdateOptions{})
	forbidden(t, err, `node "n1" can only update pod status for pods with spec.nodeName set to itself`)
	for _, list := range []func() error{
		func() error { _, err := node.CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); return err },
		func() error { _, err := node.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{}); return err },
	} {
		forbidden(t, list(), `cannot list resource`)
	}

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: corev1.PodSpec{
			NodeName: "n1", AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{Name: "c", Image: "demo", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "mine"}}}}}},
		},
	}
	if _, err := c.Client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// At once: the graph may be behind.
	if _, err := node.CoreV1().Secrets("default").Get(ctx, "mine", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	_, err = node.CoreV1().Secrets("default").Get(ctx, "other", metav1.GetOptions{})
	forbidden(t, err, "no relationship found between node 'n1' and this object")
}

func TestReviews(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	can := func(spec authorizationv1.SubjectAccessReviewSpec) authorizationv1.SubjectAccessReviewStatus {
		t.Helper()
		review, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return review.Status
	}
	pods := &authorizationv1.ResourceAttributes{Namespace: "default", Verb: "create", Resource: "pods"}
	if got := can(authorizationv1.SubjectAccessReviewSpec{User: "system:serviceaccount:kube-system:statefulset-controller", ResourceAttributes: pods}); !got.Allowed || !strings.Contains(got.Reason, "RBAC: allowed by ClusterRoleBinding") {
		t.Errorf("got %+v", got)
	}
	if got := can(authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: pods}); got.Allowed || got.Denied {
		t.Errorf("got %+v", got)
	}
	if got := can(authorizationv1.SubjectAccessReviewSpec{User: "jane", NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/readyz", Verb: "get"}}); !got.Allowed {
		t.Errorf("got %+v", got)
	}
	node := authorizationv1.SubjectAccessReviewSpec{User: "system:node:n1", Groups: []string{"system:nodes"}, ResourceAttributes: &authorizationv1.ResourceAttributes{
		Verb: "list", Resource: "pods", FieldSelector: &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{{Key: "spec.nodeName", Operator: "In", Values: []string{"n1"}}}},
	}}
	if got := can(node); !got.Allowed {
		t.Errorf("got %+v", got)
	}
	jane := c.client(c.As("jane", "devs"))
	self, err := jane.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: pods}}, metav1.CreateOptions{})
	if err != nil || self.Status.Allowed {
		t.Errorf("%+v %v", self, err)
	}
	rules, err := jane.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}, metav1.CreateOptions{})
	if err != nil || len(rules.Status.ResourceRules) != 2 || len(rules.Status.NonResourceRules) != 2 {
		t.Errorf("%+v %v", rules, err)
	}
	_, err = c.Client.AuthorizationV1().LocalSubjectAccessReviews("kube-system").Create(ctx, &authorizationv1.LocalSubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: pods}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.resourceAttributes.namespace: Invalid value: \"default\": must match metadata.namespace") {
		t.Errorf("got %v", err)
	}
	_, err = c.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "exactly one of nonResourceAttributes or resourceAttributes must be specified") {
		t.Errorf("got %v", err)
	}
	_, err = c.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: node}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "must be empty") {
		t.Errorf("got %v", err)
	}
	review, err := c.Client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "nonsense"}}, metav1.CreateOptions{})
	if err != nil || review.Status.Authenticated {
		t.Errorf("%+v %v", review, err)
	}
	c.account("default", "default")
	made, err := c.Client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, audience := range []string{"vault", "other"} {
		review, err = c.Client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: made.Status.Token, Audiences: []string{audience}}}, metav1.CreateOptions{})
		if err != nil || review.Status.Authenticated != (audience == "vault") {
			t.Errorf("%s: %+v %v", audience, review.Status, err)
		}
	}
	_, err = c.Client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64)}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "may not specify a duration less than 10 minutes") {
		t.Errorf("got %v", err)
	}
	err = c.tls(func(*rest.Config) {}).Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").Do(ctx).Error()
	forbidden(t, err, `cannot get path "/openid/v1/jwks"`)
	keys, err := c.Client.Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(ctx)
	if err != nil || !strings.Contains(string(keys), `"alg":"ES256"`) {
		t.Errorf("%s %v", keys, err)
	}
}

func TestRoles(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	roles := c.settled()
	for _, r := range roles {
		if r.Name == "admin" && len(r.Rules) < 10 {
			t.Errorf("admin has %d rules", len(r.Rules))
		}
	}

	t.Run("aggregation", func(t *testing.T) {
		_, err := c.Client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "see-widgets", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
			Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"view", "edit", "admin"} {
			eventually(t, name+" gathers the new role", func() bool {
				role, err := c.Client.RbacV1().ClusterRoles().Get(ctx, name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for _, rule := range role.Rules {
					if rule.Resources[0] == "widgets" {
						return true
					}
				}
				return false
			})
		}
	})

	t.Run("escalation", func(t *testing.T) {
		_, err := c.Client.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "jane"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		jane := c.client(c.As("jane"))
		role := func(name string, rules ...rbacv1.PolicyRule) error {
			_, err := jane.RbacV1().Roles("default").Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
			return err
		}
		eventually(t, "jane may create a role", func() bool {
			return role("pods", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}) == nil
		})
		err = role("nodes", rbacv1.PolicyRule{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"nodes"}})
		forbidden(t, err, `roles.rbac.authorization.k8s.io "nodes" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:`+"\n"+`{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}`)
		_, err = jane.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "root"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}},
		}, metav1.CreateOptions{})
		forbidden(t, err, "is attempting to grant RBAC permissions not currently held")
	})

	t.Run("restart writes nothing", func(t *testing.T) {
		before := c.settled()
		c.Restart()
		ns, err := c.Client.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_ = ns
		time.Sleep(500 * time.Millisecond)
		after := c.settled()
		versions := map[string]string{}
		for _, r := range before {
			versions[r.Name] = r.ResourceVersion
		}
		for _, r := range after {
			if versions[r.Name] != r.ResourceVersion {
				t.Errorf("%s was written again", r.Name)
			}
		}
	})
}
