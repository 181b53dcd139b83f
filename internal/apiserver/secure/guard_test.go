package secure_test

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// allow gives a user rights on everything of a group.
func (c *cluster) allow(who string, rules ...rbacv1.PolicyRule) {
	c.t.Helper()
	roles, bindings := c.Client.RbacV1().ClusterRoles(), c.Client.RbacV1().ClusterRoleBindings()
	role, err := roles.Create(c.t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: who}, Rules: rules}, metav1.CreateOptions{})
	if err == nil {
		_, err = bindings.Create(c.t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: who}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// TestParametersOfPolicies lets only those name parameters who may read them.
func TestParametersOfPolicies(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	const who = "&{dave  [system:authenticated] map[]}"
	dave := c.client(c.As("dave")).AdmissionregistrationV1()
	c.allow("dave", rbacv1.PolicyRule{APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"*"}, Verbs: []string{"*"}})
	policy := func(kind string) error {
		_, err := dave.ValidatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: strings.ToLower(kind)},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: ptr.To(admissionregistrationv1.Ignore),
				ParamKind:     &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: kind},
				Validations:   []admissionregistrationv1.Validation{{Expression: "object.spec.replicas > 'many' || !has(object.nothing)"}},
				MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionregistrationv1.RuleWithOperations{
						Operations: []admissionregistrationv1.OperationType{"CREATE"},
						Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
					},
				}}},
			},
		}, metav1.CreateOptions{})
		return err
	}
	eventually(t, "dave's rights count", func() bool { return !apierrors.IsForbidden(policy("ConfigMap")) })
	if err := policy("ConfigMap"); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(),
		`spec.paramKind: Forbidden: user `+who+` must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)`) {
		t.Errorf("a policy with parameters that dave may not read: %v", err)
	}
	c.allow("dave", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}})
	eventually(t, "dave may read config maps", func() bool { return policy("ConfigMap") == nil })

	binding := func(name string, ref admissionregistrationv1.ParamRef) error {
		ref.ParameterNotFoundAction = ptr.To(admissionregistrationv1.AllowAction)
		_, err := dave.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: "configmap", ParamRef: &ref, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit},
			},
		}, metav1.CreateOptions{})
		return err
	}
	if err := binding("all", admissionregistrationv1.ParamRef{Namespace: "default", Selector: &metav1.LabelSelector{}}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), `spec.paramRef: Forbidden: user `+who+` does not have "list" permission on the object referenced by paramRef`) {
		t.Errorf("a binding to config maps that dave may not list: %v", err)
	}
	if err := binding("one", admissionregistrationv1.ParamRef{Namespace: "default", Name: "a"}); err != nil {
		t.Errorf("a binding to a config map that dave may read: %v", err)
	}

	// Who changes something else need not read them; who changes the kind must.
	change := func(patch string) error {
		_, err := dave.ValidatingAdmissionPolicies().Patch(ctx, "configmap", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	if err := change(`{"metadata":{"labels":{"a":"b"}}}`); err != nil {
		t.Errorf("a change of labels: %v", err)
	}
	if err := change(`{"spec":{"paramKind":{"kind":"Secret"}}}`); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "(kind=Secret, apiVersion=v1)") {
		t.Errorf("a change to parameters that dave may not read: %v", err)
	}

	// What the expressions ask of the matched types is looked at, once there is a policy.
	eventually(t, "the types are checked", func() bool {
		p, err := c.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(ctx, "configmap", metav1.GetOptions{})
		if err != nil || p.Status.TypeChecking == nil || p.Status.ObservedGeneration != p.Generation {
			return false
		}
		w := p.Status.TypeChecking.ExpressionWarnings
		if len(w) != 1 || w[0].FieldRef != "spec.validations[0].expression" || !strings.HasPrefix(w[0].Warning, "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'") ||
			!strings.Contains(w[0].Warning, "undefined field 'nothing'") {
			t.Errorf("warnings %+v", w)
		}
		return true
	})
}

// TestAdminAccess lets devices be used by others' leave only where the
// namespace says so.
func TestAdminAccess(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	spec := resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
		Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeAll, AdminAccess: ptr.To(true)},
	}}}}
	claim := func() error {
		_, err := c.Client.ResourceV1().ResourceClaims("default").Create(ctx, &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: spec}, metav1.CreateOptions{})
		return err
	}
	template := func() error {
		_, err := c.Client.ResourceV1().ResourceClaimTemplates("default").Create(ctx, &resourcev1.ResourceClaimTemplate{
			ObjectMeta: metav1.ObjectMeta{Name: "t"}, Spec: resourcev1.ResourceClaimTemplateSpec{Spec: spec},
		}, metav1.CreateOptions{})
		return err
	}
	for name, create := range map[string]func() error{"claim": claim, "template": template} {
		if err := create(); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(),
			"spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace") {
			t.Errorf("%s in a namespace without the label: %v", name, err)
		}
	}
	_, err := c.Client.CoreV1().Namespaces().Patch(ctx, "default", types.MergePatchType, []byte(`{"metadata":{"labels":{"resource.kubernetes.io/admin-access":"true"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, create := range map[string]func() error{"claim": claim, "template": template} {
		if err := create(); err != nil {
			t.Errorf("%s in a namespace with the label: %v", name, err)
		}
	}
}

// TestMonitoring shows flags and status to those who may monitor.
func TestMonitoring(t *testing.T) {
	c := start(t)
	c.settled()
	for path, want := range map[string]string{"/statusz": "apiserver statusz", "/flagz": "tls-san"} {
		get := func(groups ...string) (string, error) {
			body, err := c.client(c.As("eve", groups...)).Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "text/plain").DoRaw(t.Context())
			return string(body), err
		}
		eventually(t, path+" is shown to monitors", func() bool {
			body, err := get("system:authenticated", "system:monitoring")
			return err == nil && strings.Contains(body, want)
		})
		if body, err := get("system:authenticated"); !apierrors.IsForbidden(err) {
			t.Errorf("%s for everybody: %s, %v", path, body, err)
		}
	}
}
