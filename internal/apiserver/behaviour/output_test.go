package behaviour

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	asTable   = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
	asPartial = "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	asList    = "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
)

func TestTables(t *testing.T) {
	w := start(t)
	from := into[corev1.ConfigMapList](t, w.get(maps)).ResourceVersion
	w.makeMap("a")
	w.makeMap("b")
	one := into[metav1.Table](t, w.get(maps+"/a", asTable))
	if one.Kind != "Table" || one.APIVersion != "meta.k8s.io/v1" || len(one.Rows) != 1 || one.Rows[0].Cells[0] != "a" || len(one.ColumnDefinitions) == 0 {
		t.Errorf("get: %+v", one)
	}
	many := into[metav1.Table](t, w.get(maps+"?limit=1", asTable))
	if len(many.Rows) != 1 || many.ResourceVersion == "" || many.Continue == "" {
		t.Errorf("list: %+v", many)
	}
	for include, want := range map[string]string{"": `"kind":"PartialObjectMetadata"`, "Metadata": `"kind":"PartialObjectMetadata"`, "Object": `"kind":"ConfigMap"`, "None": `"object":null`} {
		if a := w.get(maps+"?includeObject="+include, asTable); !strings.Contains(a.body, want) {
			t.Errorf("includeObject=%s: %s", include, a.body)
		}
	}
	seen := w.watch(maps+"?watch=true&resourceVersion="+from, count(2), asTable)
	if len(seen[0].Object.ColumnDefinitions) == 0 || len(seen[1].Object.ColumnDefinitions) != 0 || len(seen[1].Object.Rows) != 1 || seen[1].Object.Rows[0].Cells[0] != "b" {
		t.Errorf("watch: only the first event says what the columns are: %+v", seen)
	}
	// kubectl accepts what it gets; a client that insists is told.
	if a := w.get("/apis", asTable+",application/json"); a.code != http.StatusOK {
		t.Errorf("/apis as a table: %d", a.code)
	}
	w.get(maps, "Accept: application/json;as=Table;v=v1beta2;g=meta.k8s.io").status(t, http.StatusNotAcceptable, "NotAcceptable", "only the following media types are accepted: application/json")
}

func TestPartialMetadata(t *testing.T) {
	w := start(t)
	from := into[corev1.ConfigMapList](t, w.get(maps)).ResourceVersion
	w.makeMap("a")
	one := w.get(maps+"/a", asPartial)
	if !strings.Contains(one.body, `"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1"`) || !strings.Contains(one.body, `"name":"a"`) || strings.Contains(one.body, `"data"`) {
		t.Errorf("get: %s", one.body)
	}
	many := w.get(maps, asList)
	if !strings.Contains(many.body, `"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1"`) || strings.Contains(many.body, `"data"`) {
		t.Errorf("list: %s", many.body)
	}
	if seen := w.watch(maps+"?watch=true&resourceVersion="+from, count(1), asPartial); seen[0].Object.Kind != "PartialObjectMetadata" || seen[0].Object.Name != "a" {
		t.Errorf("watch: %+v", seen)
	}
	w.get(maps, asPartial).status(t, http.StatusNotAcceptable, "NotAcceptable", "")
	w.must(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets)
	if a := w.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", asList); !strings.Contains(a.body, "widgets.example.com") {
		t.Errorf("definitions: %d %s", a.code, a.body)
	}
}

func TestEncodings(t *testing.T) {
	w := start(t)
	w.makeMap("a")
	a := w.get(maps+"/a", "Accept: application/yaml")
	var m corev1.ConfigMap
	if err := yaml.Unmarshal([]byte(a.body), &m); err != nil || m.Name != "a" || a.header.Get("Content-Type") != "application/yaml" || !strings.Contains(a.body, "kind: ConfigMap\n") {
		t.Errorf("YAML: %v %s", err, a.body)
	}
	const protobuf = "application/vnd.kubernetes.protobuf"
	a = w.get(maps+"/a", "Accept: "+protobuf)
	if a.header.Get("Content-Type") != protobuf || !strings.HasPrefix(a.body, "k8s\x00") {
		t.Errorf("protobuf: %q", a.body)
	}
	sent := w.do(http.MethodPut, maps+"/a", a.body, "Content-Type: "+protobuf, "Accept: application/json")
	if sent.code != http.StatusOK || into[corev1.ConfigMap](t, sent).Data["k"] != "v" {
		t.Errorf("protobuf sent back: %d %s", sent.code, sent.body)
	}
	if a = w.get(maps+"?watch=true&resourceVersion=0&timeoutSeconds=1", "Accept: application/vnd.kubernetes.protobuf;stream=watch"); a.header.Get("Content-Type") != "application/vnd.kubernetes.protobuf;stream=watch" || len(a.body) == 0 {
		t.Errorf("protobuf watch: %v", a.header)
	}
	if a = w.get(maps+"/a?pretty=true", "Accept: application/json"); !strings.Contains(a.body, "\n  \"metadata\": {") {
		t.Errorf("pretty: %s", a.body)
	}
	if a = w.get(maps+"/a", "User-Agent: curl/8.0"); !strings.Contains(a.body, "\n  \"metadata\": {") {
		t.Errorf("for curl: %s", a.body)
	}
	// What a custom resource has no protobuf form for is refused, or falls back.
	const definitions = "/apis/spiderpool.spidernet.io/v2beta1/spiderippools"
	if a = w.get(definitions, "Accept: "+protobuf+",application/json"); a.code != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("fall back: %d %s", a.code, a.body)
	}
	if a = w.get(definitions, "Accept: "+protobuf); a.code != http.StatusNotAcceptable {
		t.Errorf("protobuf of what has none: %d %s", a.code, a.body)
	}
	// CBOR is off, as upstream has it.
	w.get(maps, "Accept: application/cbor").status(t, http.StatusNotAcceptable, "NotAcceptable", "")
	w.do(http.MethodPost, maps, "\xd9\xd9\xf7\xa0", "Content-Type: application/cbor").status(t, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "")
}

func TestCompression(t *testing.T) {
	w := start(t)
	w.must(http.MethodPost, maps, `{"metadata":{"name":"big"},"data":{"k":"`+strings.Repeat("x", 200<<10)+`"}}`)
	w.makeMap("small")
	big := w.get(maps+"/big", "Accept-Encoding: gzip")
	if big.header.Get("Content-Encoding") != "gzip" || len(big.body) > 20<<10 || !strings.Contains(big.header.Get("Vary"), "Accept-Encoding") {
		t.Errorf("%v, %d bytes", big.header, len(big.body))
	}
	r, err := gzip.NewReader(strings.NewReader(big.body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	var m corev1.ConfigMap
	if err != nil || json.Unmarshal(plain, &m) != nil || len(m.Data["k"]) != 200<<10 {
		t.Errorf("unpacked: %v, %d bytes", err, len(plain))
	}
	for name, a := range map[string]answer{
		"small":          w.get(maps+"/small", "Accept-Encoding: gzip"),
		"not asked for":  w.get(maps + "/big"),
		"something else": w.get(maps+"/big", "Accept-Encoding: br"),
	} {
		if a.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	if list := w.get(maps, "Accept-Encoding: gzip"); list.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("list: %v", list.header)
	}
}
