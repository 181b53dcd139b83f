package apiserver_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/apitest"
)

// lifeOfAKind is one entry of testdata/kinds/*.yaml.
type lifeOfAKind struct {
	Object map[string]any
	// Status is put through the status subresource.
	Status map[string]any
	// Row is what a table shows of the object, by column, without its age.
	Row map[string]any
}

// TestLifeOfEachKind creates an object of each kind, gives it a status, lists
// it as a table and deletes it.
func TestLifeOfEachKind(t *testing.T) {
	e := apitest.Start(t)
	files, err := filepath.Glob("testdata/kinds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no kinds: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var lives []lifeOfAKind
		if err := yaml.UnmarshalStrict(text, &lives); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, l := range lives {
			obj := &unstructured.Unstructured{Object: l.Object}
			t.Run(filepath.Base(file)+"/"+obj.GetKind(), func(t *testing.T) { l.live(t, e, obj) })
		}
	}
}

func (l lifeOfAKind) live(t *testing.T, e *apitest.Env, obj *unstructured.Unstructured) {
	ctx := t.Context()
	i := slices.IndexFunc(api.Kinds(), func(k api.Kind) bool { return k.GVK == obj.GroupVersionKind() })
	if i < 0 {
		t.Fatalf("%s is not served", obj.GroupVersionKind())
	}
	k := api.Kinds()[i]
	client, err := dynamic.NewForConfig(e.Config)
	if err != nil {
		t.Fatal(err)
	}
	resource := k.GVK.GroupVersion().WithResource(k.Resource)
	var objects dynamic.ResourceInterface = client.Resource(resource)
	namespace := ""
	if k.Namespaced {
		namespace = metav1.NamespaceDefault
		objects = client.Resource(resource).Namespace(namespace)
	}
	made, err := objects.Create(ctx, obj, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}
	if (l.Status != nil) != k.HasStatus {
		t.Errorf("the case has a status: %v, the kind: %v", l.Status != nil, k.HasStatus)
	}
	if l.Status != nil {
		made.Object["status"] = l.Status
		if made, err = objects.UpdateStatus(ctx, made, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l.Status, made.Object["status"], numbers); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}
	l.listed(t, e.Config, k, namespace, made.GetName())
	if err := objects.Delete(ctx, made.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// numbers makes all numbers of JSON alike.
var numbers = cmp.FilterValues(func(a, b any) bool {
	_, one := number(a)
	_, other := number(b)
	return one && other
}, cmp.Comparer(func(a, b any) bool {
	one, _ := number(a)
	other, _ := number(b)
	return one == other
}))

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func (l lifeOfAKind) listed(t *testing.T, config *rest.Config, k api.Kind, namespace, name string) {
	t.Helper()
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	config = rest.CopyConfig(config)
	gv := k.GVK.GroupVersion()
	config.GroupVersion, config.APIPath, config.NegotiatedSerializer = &gv, "/apis", api.Codecs.WithoutConversion()
	if gv.Group == "" {
		config.APIPath = "/api"
	}
	client, err := rest.RESTClientForConfigAndClient(config, http)
	if err != nil {
		t.Fatal(err)
	}
	text, err := client.Get().NamespaceIfScoped(namespace, k.Namespaced).Resource(k.Resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, row := range table.Rows {
		var of metav1.PartialObjectMetadata
		if err := json.Unmarshal(row.Object.Raw, &of); err != nil || of.Name != name {
			continue
		}
		for i, c := range table.ColumnDefinitions {
			got[c.Name] = row.Cells[i]
		}
	}
	if age, ok := got["Age"].(string); ok && !strings.HasSuffix(age, "s") {
		t.Errorf("age %q", age)
	}
	delete(got, "Age")
	if diff := cmp.Diff(l.Row, got, numbers); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}
