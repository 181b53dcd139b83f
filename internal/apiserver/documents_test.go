package apiserver_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/kube-openapi/pkg/handler3"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/openapi/documents"
)

var update = flag.Bool("update", false, "write the documents of internal/openapi/documents again")

// TestDocuments compares the OpenAPI v3 documents that are part of the program
// with those that the server's routes give.
func TestDocuments(t *testing.T) {
	e := apitest.Start(t)
	want, err := e.Server.Documents()
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 20 {
		t.Fatalf("only %d documents", len(want))
	}
	const folder = "../openapi/documents"
	if *update {
		if err := os.RemoveAll(filepath.Join(folder, "v3")); err != nil {
			t.Fatal(err)
		}
		for of, text := range want {
			file := filepath.Join(folder, documents.File(of))
			packed, err := documents.Pack(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, packed, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Skip("written; they are compared when this is built again")
	}
	var index handler3.OpenAPIV3Discovery
	if err := json.Unmarshal([]byte(get(t, e, documents.Path)), &index); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(index.Paths))); diff != "" {
		t.Errorf("the documents served are not those of the routes; run: go test ./internal/apiserver -run TestDocuments -update\n%s", diff)
	}
	for of, text := range want {
		text = bytes.Replace(text, []byte(documents.Version), []byte(apiserver.GitVersion()), 1)
		if have := get(t, e, documents.Path+"/"+of); have != string(text) {
			t.Errorf("%s is stale; run: go test ./internal/apiserver -run TestDocuments -update", of)
		}
	}
}
