package policy

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/apiserver/authz/rbac"
)

func TestText(t *testing.T) {
	o := Defaults()
	names := map[string]bool{}
	for _, r := range o.ClusterRoles {
		if names[r.Name] {
			t.Errorf("cluster role %s twice", r.Name)
		}
		names[r.Name] = true
		if len(r.Rules) == 0 {
			t.Errorf("cluster role %s has no rules", r.Name)
		}
		for _, rule := range r.Rules {
			if len(rule.Verbs) == 0 || len(rule.Resources)+len(rule.NonResourceURLs) == 0 || (len(rule.Resources) > 0) != (len(rule.APIGroups) > 0) {
				t.Errorf("%s: %v", r.Name, rule)
			}
			for _, words := range [][]string{rule.Verbs, rule.Resources, rule.APIGroups, rule.NonResourceURLs} {
				if !slices.IsSorted(words) || slices.Contains(words, "read") || slices.Contains(words, "write") {
					t.Errorf("%s: %v", r.Name, words)
				}
			}
		}
		if r.Labels["kubernetes.io/bootstrapping"] != "rbac-defaults" || r.Annotations["rbac.authorization.kubernetes.io/autoupdate"] != "true" {
			t.Errorf("%s: %v %v", r.Name, r.Labels, r.Annotations)
		}
	}
	bound := map[string]bool{}
	for _, b := range o.ClusterRoleBindings {
		if !names[b.RoleRef.Name] || bound[b.Name] {
			t.Errorf("binding %s", b.Name)
		}
		bound[b.Name] = true
	}
	roles := map[string]bool{}
	for _, r := range o.Roles {
		roles[r.Namespace+"/"+r.Name] = true
	}
	for _, b := range o.RoleBindings {
		if !roles[b.Namespace+"/"+b.RoleRef.Name] {
			t.Errorf("binding %s/%s", b.Namespace, b.Name)
		}
	}
	for _, name := range []string{
		"cluster-admin", "admin", "edit", "view", "system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view",
		"system:basic-user", "system:discovery", "system:public-info-viewer", "system:monitoring", "system:node", "system:node-proxier",
		"system:kube-scheduler", "system:volume-scheduler", "system:kube-controller-manager", "system:auth-delegator", "system:kube-dns",
		"system:heapster", "system:kube-aggregator", "system:kubelet-api-admin", "system:node-bootstrapper", "system:node-problem-detector",
		"system:persistent-volume-provisioner", "system:service-account-issuer-discovery", "system:cluster-trust-bundle-discovery",
		"system:certificates.k8s.io:certificatesigningrequests:nodeclient", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
		"system:certificates.k8s.io:kube-apiserver-client-approver", "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
		"system:certificates.k8s.io:kubelet-serving-approver", "system:certificates.k8s.io:legacy-unknown-approver",
	} {
		if !names[name] {
			t.Errorf("no cluster role %s", name)
		}
	}
	for _, name := range []string{
		"attachdetach-controller", "certificate-controller", "clusterrole-aggregation-controller", "cronjob-controller", "daemon-set-controller",
		"deployment-controller", "device-taint-eviction-controller", "disruption-controller", "endpoint-controller", "endpointslice-controller",
		"endpointslicemirroring-controller", "ephemeral-volume-controller", "expand-controller", "generic-garbage-collector",
		"horizontal-pod-autoscaler", "job-controller", "kube-apiserver-serving-clustertrustbundle-publisher",
		"legacy-service-account-token-cleaner", "namespace-controller", "node-controller", "persistent-volume-binder", "pod-garbage-collector",
		"podcertificaterequestcleaner", "pv-protection-controller", "pvc-protection-controller", "replicaset-controller", "replication-controller",
		"resource-claim-controller", "resourcequota-controller", "root-ca-cert-publisher", "route-controller", "selinux-warning-controller",
		"service-account-controller", "service-cidrs-controller", "service-controller", "statefulset-controller",
		"storage-version-migrator-controller", "ttl-after-finished-controller", "ttl-controller", "validatingadmissionpolicy-status-controller",
		"volumeattributesclass-protection-controller",
	} {
		name = "system:controller:" + name
		if !bound[name] {
			t.Errorf("nobody is bound to %s", name)
		}
	}
}

func TestBadText(t *testing.T) {
	for text, want := range map[string]string{
		"nonsense x":                   `policy.txt:1: unknown statement "nonsense"`,
		"clusterrole":                  `policy.txt:1: "clusterrole" names nothing`,
		"\n  get core pods":            "policy.txt:2: a rule needs a role above it",
		"clusterrole a\n  get core":    "policy.txt:2: a rule needs a role above it and three or four words",
		"clusterrole a over=b":         `unknown option "over=b"`,
		"role ns":                      "a role needs a namespace and a name",
		"grant a somebody:x":           `unknown subject "somebody:x"`,
		"grant-in ns n a user:x":       "grant-in grants role:NAME",
		"grant-in ns n":                "grant-in needs a namespace",
		"grant-in ns n role:a nobody:": `unknown subject "nobody:"`,
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// Every identity of the process has the rights that its work needs, and no others.
func TestIdentities(t *testing.T) {
	a, err := rbac.New(informers.NewSharedInformerFactory(fake.NewClientset(), 0), Defaults())
	if err != nil {
		t.Fatal(err)
	}
	const kubeSystem = "system:serviceaccount:kube-system:"
	for _, c := range []struct {
		user string
		may  []string
		not  []string
	}{
		{
			"system:kube-scheduler",
			[]string{"create /pods/binding", "watch /pods", "list /nodes", "update /persistentvolumeclaims", "patch /persistentvolumeclaims", "update /pods/status", "create /events", "get storage.k8s.io/storageclasses"},
			[]string{"create /pods", "get /secrets", "update /nodes", "delete apps/statefulsets"},
		},
		{
			"system:kube-controller-manager",
			[]string{"list /pods", "watch apps/statefulsets", "list spiderpool.spidernet.io/spiderendpoints", "watch /configmaps"},
			[]string{"delete /pods", "update apps/statefulsets", "create rbac.authorization.k8s.io/clusterroles"},
		},
		{
			kubeSystem + "statefulset-controller",
			[]string{"create /pods", "delete /pods", "patch /pods", "get apps/statefulsets", "update apps/statefulsets/status", "create apps/controllerrevisions", "create /persistentvolumeclaims", "update /persistentvolumeclaims", "delete /persistentvolumeclaims", "create /events"},
			[]string{"get /secrets", "update apps/statefulsets", "create apps/deployments", "delete /nodes"},
		},
		{
			kubeSystem + "persistent-volume-binder",
			[]string{"create /persistentvolumes", "update /persistentvolumes", "delete /persistentvolumes", "update /persistentvolumes/status", "update /persistentvolumeclaims", "update /persistentvolumeclaims/status", "list /pods", "get /nodes", "list /nodes", "get storage.k8s.io/storageclasses", "create /events"},
			[]string{"create /persistentvolumeclaims", "get /secrets", "update /pods"},
		},
		{
			kubeSystem + "generic-garbage-collector",
			[]string{"delete apps/statefulsets", "patch /pods", "get example.com/widgets", "update /secrets"},
			[]string{"create /pods"},
		},
		{
			kubeSystem + "namespace-controller",
			[]string{"update /namespaces/finalize", "update /namespaces/status", "delete /namespaces", "deletecollection /secrets", "list apps/statefulsets", "delete /pods"},
			[]string{"create /pods", "update /pods"},
		},
		{
			kubeSystem + "endpointslice-controller",
			[]string{"create discovery.k8s.io/endpointslices", "delete discovery.k8s.io/endpointslices", "get /services"},
			[]string{"update /services", "create /endpoints"},
		},
		{kubeSystem + "service-account-controller", []string{"create /serviceaccounts"}, []string{"delete /serviceaccounts", "get /secrets"}},
		{kubeSystem + "root-ca-cert-publisher", []string{"create /configmaps", "update /configmaps"}, []string{"delete /configmaps", "get /secrets"}},
		{kubeSystem + "node-controller", []string{"update /nodes", "patch /nodes/status", "delete /pods", "patch /pods/status"}, []string{"create /nodes", "get /secrets"}},
		{kubeSystem + "pod-garbage-collector", []string{"delete /pods", "patch /pods/status", "list /nodes"}, []string{"create /pods"}},
		{
			kubeSystem + "ipam-controller",
			[]string{"create spiderpool.spidernet.io/spiderendpoints", "update spiderpool.spidernet.io/spiderendpoints", "update spiderpool.spidernet.io/spiderendpoints/status", "create spiderpool.spidernet.io/spiderippools", "patch spiderpool.spidernet.io/spiderippools/status", "get /pods", "get apps/statefulsets"},
			[]string{"update /pods", "get /secrets"},
		},
		{
			"system:kube-proxy",
			[]string{"list /services", "watch discovery.k8s.io/endpointslices", "get /nodes"},
			[]string{"list /pods", "get /services", "get /secrets"},
		},
		{
			kubeSystem + "coredns",
			[]string{"list /services", "watch discovery.k8s.io/endpointslices", "watch /pods", "list /namespaces"},
			[]string{"get /secrets", "update /services"},
		},
		{"jane", nil, []string{"get /pods", "create authorization.k8s.io/selfsubjectaccessreviews"}}, // not before the informers have synced
	} {
		who := &user.DefaultInfo{Name: c.user, Groups: []string{"system:authenticated"}}
		check := func(words string, want bool) {
			verb, path, _ := strings.Cut(words, " ")
			parts := strings.Split(path, "/")
			request := authorizer.AttributesRecord{User: who, Verb: verb, ResourceRequest: true, Namespace: "ns", Name: "x", APIGroup: parts[0], Resource: parts[1]}
			if len(parts) == 3 {
				request.Subresource = parts[2]
			}
			if d, _, _ := a.Authorize(t.Context(), request); (d == authorizer.DecisionAllow) != want {
				t.Errorf("%s: %s: %v", c.user, words, d)
			}
		}
		for _, words := range c.may {
			check(words, true)
		}
		for _, words := range c.not {
			check(words, false)
		}
	}
}

// The aggregated roles hold what is below them: view within edit within admin.
func TestAggregatedRoles(t *testing.T) {
	rules := map[string][]rbacv1.PolicyRule{}
	for _, r := range Defaults().ClusterRoles {
		rules[r.Name] = r.Rules
	}
	request := func(verb, group, resource string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{Verb: verb, APIGroup: group, Resource: resource, ResourceRequest: true, Namespace: "ns"}
	}
	for _, c := range []struct {
		request authorizer.AttributesRecord
		lowest  string
	}{
		{request("get", "", "pods"), "view"},
		{request("list", "apps", "statefulsets"), "view"},
		{request("get", "", "secrets"), "edit"},
		{request("create", "apps", "statefulsets"), "edit"},
		{request("create", "rbac.authorization.k8s.io", "roles"), "admin"},
		{request("create", "", "namespaces"), "nobody"},
		{request("create", "", "resourcequotas"), "nobody"},
	} {
		allowed := false
		for _, name := range []string{"view", "edit", "admin"} {
			allowed = allowed || name == c.lowest
			if got := rbac.RulesAllow(c.request, rules[name]...); got != allowed {
				t.Errorf("%s: %s %s is %v", name, c.request.Verb, c.request.Resource, got)
			}
		}
	}
}
