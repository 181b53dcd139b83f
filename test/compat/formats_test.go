package compat

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// path is where a resource's objects are, below the server's root.
func (r resource) path(name ...string) []string {
	parts := []string{"apis", r.Group, r.Version}
	if r.Group == "" {
		parts = []string{"api", r.Version}
	}
	if r.namespaced {
		parts = append(parts, "namespaces", namespace)
	}
	return append(append(parts, r.Resource), name...)
}

// formats asks for the table, for metadata only, and for protobuf.
func (c *client) formats(s *server) {
	table := struct {
		Kind              string
		ColumnDefinitions []metav1.TableColumnDefinition
		Rows              []struct{ Cells []any }
	}{}
	get(c.t, s, c.r, "application/json;as=Table;v=v1;g=meta.k8s.io", &table, c.r.path(c.name))
	if table.Kind != "Table" || len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) || table.ColumnDefinitions[0].Name != "Name" && c.r.Resource != "events" {
		c.t.Errorf("the table is %+v", table)
	}
	metadata := metav1.PartialObjectMetadataList{}
	get(c.t, s, c.r, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", &metadata, c.r.path())
	found := false
	for _, o := range metadata.Items {
		found = found || o.Name == c.name
	}
	if !found || metadata.Kind != "PartialObjectMetadataList" {
		c.t.Errorf("%s is not in the list of metadata (%s, %d items)", c.name, metadata.Kind, len(metadata.Items))
	}
	if json := strings.Contains(c.r.Group, ".example.com") || strings.HasPrefix(c.r.Group, "spiderpool.") || strings.HasPrefix(c.r.Group, "k8s.cni.") || c.r.Group == snapshots; json {
		return // their types have no protobuf
	}
	kind := ""
	text := s.rest.Get().AbsPath(c.r.path(c.name)...).SetHeader("Accept", "application/vnd.kubernetes.protobuf").Do(c.t.Context()).ContentType(&kind)
	body, err := text.Raw()
	c.must("get in protobuf", err)
	if kind != "application/vnd.kubernetes.protobuf" || !strings.HasPrefix(string(body), "k8s\x00") {
		c.t.Errorf("asked for protobuf, got %s", kind)
	}
}

func get(t *testing.T, s *server, r resource, accept string, into any, path []string) {
	t.Helper()
	body, err := s.rest.Get().AbsPath(path...).SetHeader("Accept", accept).Do(t.Context()).Raw()
	if err != nil {
		t.Fatalf("get %s as %s: %v", r, accept, err)
	}
	must(t, json.Unmarshal(body, into))
}

// post is for kinds that are only answered: reviews and bindings.
func (s *server) post(t *testing.T, r resource) {
	o, _ := examples(t, r)
	if r.Resource == "bindings" {
		s.makePod(t, o.GetName())
	}
	if !r.namespaced {
		o.SetNamespace("")
	}
	body, err := o.MarshalJSON()
	must(t, err)
	got, err := s.rest.Post().AbsPath(r.path()...).Body(body).SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Do(t.Context()).Raw()
	must(t, err)
	answer := metav1.TypeMeta{}
	must(t, json.Unmarshal(got, &answer))
	if answer.Kind != r.kind && (r.Resource != "bindings" || answer.Kind != "Status") {
		t.Errorf("posted a %s, got %s", r.kind, got)
	}
}

// metrics is a group whose objects are made of what node agents say.
const (
	metrics   = "metrics.k8s.io"
	snapshots = "snapshot.storage.k8s.io"
)

// read is for what can only be looked at.
func (s *server) read(t *testing.T, r resource) {
	list := struct {
		Kind  string
		Items []metav1.PartialObjectMetadata
	}{}
	get(t, s, r, "application/json", &list, r.path())
	if list.Kind != r.kind+"List" || len(list.Items) == 0 && r.Group != metrics {
		t.Fatalf("the list is %+v", list)
	}
	if len(list.Items) == 0 {
		return // no agent tells what its node uses
	}
	one := metav1.PartialObjectMetadata{}
	get(t, s, r, "application/json", &one, r.path(list.Items[0].Name))
	if one.Kind != r.kind || one.Name != list.Items[0].Name {
		t.Errorf("got %+v", one)
	}
}
