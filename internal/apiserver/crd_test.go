package apiserver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

func boatCRD() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "boats.example.org"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.org", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "boats", Singular: "boat", Kind: "Boat", ListKind: "BoatList", ShortNames: []string{"bt"}},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object",
					Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": {
						Type: "object", Description: "what boat it is",
						Properties: map[string]apiextensionsv1.JSONSchemaProps{
							"length": {Type: "integer", Minimum: ptr.To(1.0), Default: &apiextensionsv1.JSON{Raw: []byte("7")}},
						},
					}},
				}},
			}},
		},
	}
}

var boats = schema.GroupVersionResource{Group: "example.org", Version: "v1", Resource: "boats"}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("%s did not happen", what)
}

func TestCustomResources(t *testing.T) {
	e := apitest.Start(t)
	definitions := must[*extensions.Clientset](t)(extensions.NewForConfig(e.TLS)).ApiextensionsV1().CustomResourceDefinitions()
	must[*apiextensionsv1.CustomResourceDefinition](t)(definitions.Create(t.Context(), boatCRD(), metav1.CreateOptions{}))
	config := rest.CopyConfig(e.TLS)
	custom := must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(config)).Resource(boats).Namespace(namespace)
	boat := func(spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.org/v1", "kind": "Boat", "metadata": map[string]any{"name": "b"}, "spec": spec,
		}}
	}
	eventually(t, "serving the new kind", func() bool {
		_, err := custom.Create(t.Context(), boat(map[string]any{"length": int64(0)}), metav1.CreateOptions{})
		return apierrors.IsInvalid(err)
	})
	made := must[*unstructured.Unstructured](t)(custom.Create(t.Context(), boat(map[string]any{}), metav1.CreateOptions{}))
	if n, _, _ := unstructured.NestedInt64(made.Object, "spec", "length"); n != 7 {
		t.Errorf("default is %d", n)
	}
	disco := must[*discovery.DiscoveryClient](t)(discovery.NewDiscoveryClientForConfig(e.TLS))
	eventually(t, "discovery", func() bool {
		_, lists, err := disco.ServerGroupsAndResources()
		if err != nil {
			return false
		}
		for _, l := range lists {
			if l.GroupVersion == "example.org/v1" && len(l.APIResources) > 0 {
				return true
			}
		}
		return false
	})
	plain := must[[]byte](t)(e.Client.Discovery().RESTClient().Get().AbsPath("/apis").SetHeader("Accept", "application/json").DoRaw(t.Context()))
	if !strings.Contains(string(plain), `"example.org"`) {
		t.Errorf("/apis does not list the group: %s", plain)
	}
	for path, want := range map[string]string{
		"/openapi/v2":                     "what boat it is",
		"/openapi/v3/apis/example.org/v1": "what boat it is",
	} {
		if doc := get(t, e, path); !strings.Contains(doc, want) {
			t.Errorf("%s does not describe the kind", path)
		}
	}
	e.Restart()
	custom = must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(e.TLS)).Resource(boats).Namespace(namespace)
	must[*unstructured.Unstructured](t)(custom.Get(t.Context(), "b", metav1.GetOptions{}))
	definitions = must[*extensions.Clientset](t)(extensions.NewForConfig(e.TLS)).ApiextensionsV1().CustomResourceDefinitions()
	if err := definitions.Delete(t.Context(), "boats.example.org", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kind's end", func() bool {
		_, err := custom.Get(t.Context(), "b", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	eventually(t, "the documents' end", func() bool {
		return !strings.Contains(get(t, e, "/openapi/v2"), "what boat it is")
	})
}

func get(t *testing.T, e *apitest.Env, path string) string {
	t.Helper()
	client := must[*http.Client](t)(rest.HTTPClientFor(e.TLS))
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, e.TLS.Host+path, nil))
	req.Header.Set("Accept", "application/json")
	resp := must[*http.Response](t)(client.Do(req))
	defer resp.Body.Close()
	body := must[[]byte](t)(io.ReadAll(resp.Body))
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s: %.200s", path, resp.Status, body)
	}
	return string(body)
}

func TestOpenAPI(t *testing.T) {
	e := apitest.Start(t)
	var v2 struct {
		Definitions map[string]struct {
			GVK []schema.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
		} `json:"definitions"`
		Paths map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(get(t, e, "/openapi/v2")), &v2); err != nil {
		t.Fatal(err)
	}
	set := v2.Definitions["io.k8s.api.apps.v1.StatefulSet"]
	if len(set.GVK) != 1 || set.GVK[0].Version != "v1" {
		t.Errorf("StatefulSet is %+v", set.GVK)
	}
	for _, path := range []string{
		"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}/scale", "/api/v1/namespaces/{namespace}/pods/{name}/exec",
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/version/",
	} {
		if v2.Paths[path] == nil {
			t.Errorf("no path %s", path)
		}
	}
	v3 := get(t, e, "/openapi/v3")
	for _, gv := range []string{"api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1", "apis/spiderpool.spidernet.io/v2beta1"} {
		if !strings.Contains(v3, `"`+gv+`"`) {
			t.Errorf("/openapi/v3 has no %s", gv)
		}
	}
	if apps := get(t, e, "/openapi/v3/apis/apps/v1"); !strings.Contains(apps, "podManagementPolicy") {
		t.Error("the document of apps/v1 does not describe StatefulSets")
	}
}

func TestHealthAndVersion(t *testing.T) {
	e := apitest.Start(t)
	ready := get(t, e, "/readyz?verbose")
	for _, check := range []string{"[+]ping ok", "[+]log ok", "[+]etcd ok", "[+]etcd-readiness ok", "[+]informer-sync ok", "[+]poststarthook/bootstrap-controller ok", "[+]shutdown ok", "readyz check passed"} {
		if !strings.Contains(ready, check) {
			t.Errorf("/readyz?verbose lacks %q:\n%s", check, ready)
		}
	}
	if live := get(t, e, "/livez"); live != "ok" {
		t.Errorf("/livez says %q", live)
	}
	if version := get(t, e, "/version"); !strings.Contains(version, `"gitVersion": "v1.37`) || !strings.Contains(version, `"minor": "37"`) {
		t.Errorf("/version says %s", version)
	}
	if metrics := get(t, e, "/metrics"); !strings.Contains(metrics, "apiserver_request_total") {
		t.Error("/metrics has no apiserver_request_total")
	}
}
