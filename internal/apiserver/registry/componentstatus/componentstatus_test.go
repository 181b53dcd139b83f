package componentstatus

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestComponents(t *testing.T) {
	r := New(
		Component{"scheduler", func(context.Context) error { return nil }},
		Component{"etcd-0", func(context.Context) error { return errors.New("no leader") }},
	)
	rows := func(obj runtime.Object, err error) [][]any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		table, err := r.ConvertToTable(t.Context(), obj, &metav1.TableOptions{})
		if err != nil || len(table.ColumnDefinitions) != 4 {
			t.Fatal(table, err)
		}
		var out [][]any
		for _, row := range table.Rows {
			out = append(out, row.Cells)
		}
		return out
	}
	scheduler, etcd := []any{"scheduler", "Healthy", "ok", ""}, []any{"etcd-0", "Unhealthy", "", "no leader"}
	for name, c := range map[string]struct {
		options *metainternalversion.ListOptions
		want    [][]any
	}{
		"all":      {nil, [][]any{scheduler, etcd}},
		"by name":  {&metainternalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", "etcd-0")}, [][]any{etcd}},
		"by label": {&metainternalversion.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{"a": "b"})}, nil},
	} {
		if d := cmp.Diff(c.want, rows(r.List(t.Context(), c.options))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if d := cmp.Diff([][]any{etcd}, rows(r.Get(t.Context(), "etcd-0", nil))); d != "" {
		t.Error(d)
	}
	if _, err := r.Get(t.Context(), "nobody", nil); err == nil || err.Error() != "Component not found: nobody" {
		t.Errorf("nobody: %v", err)
	}
	if d := cmp.Diff([][]any{{"", "Unknown", "", ""}}, rows(&corev1.ComponentStatus{}, nil)); d != "" {
		t.Error(d)
	}
}
