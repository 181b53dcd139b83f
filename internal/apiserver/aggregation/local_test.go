package aggregation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

const managed = "kube-aggregator.kubernetes.io/automanaged"

func TestLocalAPIServices(t *testing.T) {
	e := apitest.Start(t)
	describe := func(name string) string {
		s, err := apiServices(t, e).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return ""
		}
		c := helper.GetAPIServiceConditionByType(s, apiregistrationv1.Available)
		if c == nil || s.Spec.Service != nil {
			return "not local"
		}
		return fmt.Sprintf("%s %d %d %s %s %s", s.Labels[managed], s.Spec.GroupPriorityMinimum, s.Spec.VersionPriority, c.Status, c.Reason, c.Message)
	}
	want := map[string]string{
		"v1.":                          "onstart 18000 1 True Local Local APIServices are always available",
		"v1.apps":                      "onstart 17800 15 True Local Local APIServices are always available",
		"v1.apiextensions.k8s.io":      "onstart 16700 15 True Local Local APIServices are always available",
		"v1.rbac.authorization.k8s.io": "onstart 17000 15 True Local Local APIServices are always available",
		"v1.storage.k8s.io":            "onstart 16800 15 True Local Local APIServices are always available",
		"v1.apiregistration.k8s.io":    "", // upstream has none either
		"v1.coordination.k8s.io":       "onstart 16500 15 True Local Local APIServices are always available",
		"v1.events.k8s.io":             "onstart 17750 15 True Local Local APIServices are always available",
	}
	eventually(t, "registration", func() bool {
		got := map[string]string{}
		for name := range want {
			got[name] = describe(name)
		}
		return cmp.Equal(want, got)
	})

	definitions := extensions.NewForConfigOrDie(e.Config).ApiextensionsV1().CustomResourceDefinitions()
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "boats.example.org"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.org", Scope: apiextensionsv1.ClusterScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "boats", Kind: "Boat"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
			}},
		},
	}
	if _, err := definitions.Create(t.Context(), crd, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an APIService for custom resources", func() bool {
		return describe("v1.example.org") == "true 1000 100 True Local Local APIServices are always available"
	})
	before := versionsOf(t, e)
	e.Restart()
	eventually(t, "registration after a restart", func() bool { return describe("v1.example.org") != "" })
	if diff := cmp.Diff(before, versionsOf(t, e)); diff != "" {
		t.Errorf("a restart wrote APIServices:\n%s", diff)
	}
	definitions = extensions.NewForConfigOrDie(e.Config).ApiextensionsV1().CustomResourceDefinitions()
	if err := definitions.Delete(t.Context(), crd.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the APIService's end", func() bool { return describe("v1.example.org") == "" })
}

func versionsOf(t *testing.T, e *apitest.Env) map[string]string {
	t.Helper()
	list, err := apiServices(t, e).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range list.Items {
		out[s.Name] = s.ResourceVersion
	}
	return out
}

func TestGroupOrder(t *testing.T) {
	e := apitest.Start(t)
	groups, err := discovery.NewDiscoveryClientForConfigOrDie(e.TLS).ServerGroups()
	if err != nil {
		t.Fatal(err)
	}
	var aggregated []string
	for _, g := range groups.Groups {
		if g.Name != "" {
			aggregated = append(aggregated, g.Name)
		}
	}
	_, body := get(t, e, "/apis")
	at := -1
	for _, name := range aggregated {
		i := strings.Index(body, `{"name":"`+name+`"`)
		if i <= at {
			t.Errorf("%s is not in its place in /apis: %s", name, body)
		}
		at = i
	}
	if len(aggregated) < 5 || aggregated[0] != "apiregistration.k8s.io" || aggregated[1] != "apps" {
		t.Errorf("the order is %v", aggregated)
	}
}

func TestAPIServiceValidation(t *testing.T) {
	e := apitest.Start(t)
	service := func(change func(*apiregistrationv1.APIService)) *apiregistrationv1.APIService {
		s := metricsAPIService("s", 443)
		change(s)
		return s
	}
	for want, s := range map[string]*apiregistrationv1.APIService{
		`metadata.name: Invalid value: "x": must be ` + "`spec.version+\".\"+spec.group`" + `: "v1beta1.metrics.example.org"`: service(func(s *apiregistrationv1.APIService) { s.Name = "x" }),
		`spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000`:                                   service(func(s *apiregistrationv1.APIService) { s.Spec.GroupPriorityMinimum = 0 }),
		`spec.versionPriority: Invalid value: 1001: must be positive and less than 1000`:                                      service(func(s *apiregistrationv1.APIService) { s.Spec.VersionPriority = 1001 }),
		`spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present`:                             service(func(s *apiregistrationv1.APIService) { s.Spec.CABundle = []byte("x") }),
		`spec.service.name: Required value`: service(func(s *apiregistrationv1.APIService) { s.Spec.Service.Name = "" }),
		`spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify`: service(func(s *apiregistrationv1.APIService) { s.Spec.Service = nil }),
	} {
		_, err := apiServices(t, e).Create(t.Context(), s, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	s := service(func(s *apiregistrationv1.APIService) { s.Spec.Service.Port = nil })
	made, err := apiServices(t, e).Create(t.Context(), s, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ptr.Deref(made.Spec.Service.Port, 0) != 443 || len(made.Status.Conditions) != 0 {
		t.Errorf("made is %+v", made)
	}
}
