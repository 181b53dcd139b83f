package usage

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// row is one line of a table.
type row struct {
	name   string
	used   corev1.ResourceList
	window metav1.Duration
	object runtime.Object
}

// table has metrics-server's columns: one for each resource.
func table(options runtime.Object, rows ...row) *metav1.Table {
	out := &metav1.Table{}
	var names []corev1.ResourceName
	if len(rows) > 0 {
		names = slices.Sorted(maps.Keys(rows[0].used))
	}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		out.ColumnDefinitions = []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name", Description: "Name of the resource"}}
		for _, name := range names {
			out.ColumnDefinitions = append(out.ColumnDefinitions, metav1.TableColumnDefinition{Name: string(name), Type: "string", Format: "quantity"})
		}
		out.ColumnDefinitions = append(out.ColumnDefinitions, metav1.TableColumnDefinition{Name: "Window", Type: "string", Format: "duration"})
	}
	for _, r := range rows {
		cells := []any{r.name}
		for _, name := range names {
			used := r.used[name]
			cells = append(cells, used.String())
		}
		out.Rows = append(out.Rows, metav1.TableRow{Cells: append(cells, r.window.Duration.String()), Object: runtime.RawExtension{Object: r.object}})
	}
	return out
}
