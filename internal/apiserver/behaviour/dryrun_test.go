package behaviour

import (
	gomaps "maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
)

// A dry run answers like the real thing and leaves the datastore alone.
func TestDryRun(t *testing.T) {
	w := start(t)
	w.makeMap("have")
	const pods, eviction = "/api/v1/namespaces/default/pods", `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}`
	w.must(http.MethodPost, pods, pod("p", ""))
	w.must(http.MethodPost, "/apis/apps/v1/namespaces/default/statefulsets", `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"s"},"spec":{"selector":{"matchLabels":{"a":"b"}},"serviceName":"s","replicas":1,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`)
	before := w.revisions()
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
	}{
		"create":             {http.MethodPost, maps + "?dryRun=All", `{"metadata":{"name":"new"}}`, nil, http.StatusCreated},
		"create over one":    {http.MethodPost, maps + "?dryRun=All", `{"metadata":{"name":"have"}}`, nil, http.StatusConflict},
		"update":             {http.MethodPut, maps + "/have?dryRun=All", `{"metadata":{"name":"have"},"data":{"k":"other"}}`, nil, http.StatusOK},
		"merge patch":        {http.MethodPatch, maps + "/have?dryRun=All", `{"data":{"k":"other"}}`, []string{mergePatch}, http.StatusOK},
		"strategic patch":    {http.MethodPatch, maps + "/have?dryRun=All", `{"data":{"k":"other"}}`, []string{strategicPatch}, http.StatusOK},
		"JSON patch":         {http.MethodPatch, maps + "/have?dryRun=All", `[{"op":"remove","path":"/data/k"}]`, []string{jsonPatch}, http.StatusOK},
		"apply":              {http.MethodPatch, maps + "/have?dryRun=All&fieldManager=a&force=true", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"have"},"data":{"k":"other"}}`, []string{applyPatch}, http.StatusOK},
		"apply that creates": {http.MethodPatch, maps + "/new?dryRun=All&fieldManager=a", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new"}}`, []string{applyPatch}, http.StatusCreated},
		"delete":             {http.MethodDelete, maps + "/have?dryRun=All", "", nil, http.StatusOK},
		"delete by body":     {http.MethodDelete, maps + "/have", `{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}`, nil, http.StatusOK},
		"delete gracefully":  {http.MethodDelete, pods + "/p?dryRun=All", "", nil, http.StatusOK},
		"delete collection":  {http.MethodDelete, maps + "?dryRun=All", "", nil, http.StatusOK},
		"status":             {http.MethodPatch, pods + "/p/status?dryRun=All", `{"status":{"message":"x"}}`, []string{mergePatch}, http.StatusOK},
		"scale":              {http.MethodPatch, "/apis/apps/v1/namespaces/default/statefulsets/s/scale?dryRun=All", `{"spec":{"replicas":4}}`, []string{mergePatch}, http.StatusOK},
		"bind":               {http.MethodPost, pods + "/p/binding?dryRun=All", `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}}`, nil, http.StatusCreated},
		"evict":              {http.MethodPost, pods + "/p/eviction?dryRun=All", eviction + "}", nil, http.StatusCreated},
		"evict by body":      {http.MethodPost, pods + "/p/eviction", eviction + `,"deleteOptions":{"dryRun":["All"]}}`, nil, http.StatusCreated},
		"service":            {http.MethodPost, "/api/v1/namespaces/default/services?dryRun=All", `{"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}}`, nil, http.StatusCreated},
		"namespace":          {http.MethodDelete, "/api/v1/namespaces/default?dryRun=All", "", nil, http.StatusOK},
		"definition":         {http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All", widgets, nil, http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.do(c.method, c.path, c.body, c.headers...); a.code != c.code {
				t.Errorf("got %d %s, want %d", a.code, a.body, c.code)
			}
			if now := w.revisions(); !gomaps.Equal(now, before) {
				t.Errorf("the datastore changed: %s", cmp.Diff(before, now))
				before = now
			}
		})
	}
	w.do(http.MethodPost, maps+"?dryRun=Some", `{"metadata":{"name":"new"}}`).status(t, http.StatusUnprocessableEntity, "Invalid", `dryRun: Unsupported value: ["Some"]: supported values: "All"`)
	if got := into[corev1.Pod](t, w.must(http.MethodPost, pods+"?dryRun=All", pod("dry", ""))); got.UID == "" || got.ResourceVersion != "" || got.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		t.Errorf("uid %q, resourceVersion %q, restartPolicy %q", got.UID, got.ResourceVersion, got.Spec.RestartPolicy)
	}
}

// revisions is that of each key, but for those that a first start goes on
// writing in the background.
func (w *wire) revisions() map[string]int64 {
	w.t.Helper()
	r, err := w.Store.Client.KV.Get(w.t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		w.t.Fatal(err)
	}
	keys := map[string]int64{}
	for _, kv := range r.Kvs {
		resource, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), "/registry/"), "/")
		switch resource {
		case "apiregistration.k8s.io", "clusterroles", "clusterrolebindings", "roles", "rolebindings":
		default:
			keys[string(kv.Key)] = kv.ModRevision
		}
	}
	return keys
}

// revision is the datastore's: it grows with every write.
func (w *wire) revision() int64 {
	w.t.Helper()
	r, err := w.Store.Client.KV.Get(w.t.Context(), "x")
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Header.Revision
}

const widgets = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},
"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList","shortNames":["wd"],"categories":["all"]},
"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}},
"additionalPrinterColumns":[{"name":"Size","type":"integer","jsonPath":".spec.size"}],
"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer"},"replicas":{"type":"integer"}}},"status":{"type":"object","properties":{"replicas":{"type":"integer"}}}}}}}]}}`
