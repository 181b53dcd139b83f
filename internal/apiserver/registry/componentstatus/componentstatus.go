// Package componentstatus answers, from what it finds at the time of the
// request, how the parts of the control plane are. Nothing is stored.
package componentstatus

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"berth.dev/berth/internal/api/columns"
)

// Check says how one component is; nil is well.
type Check func(context.Context) error

// Component is a part of the control plane.
type Component struct {
	Name  string
	Check Check
}

// REST serves componentstatuses.
type REST struct {
	components []Component
}

var (
	_ rest.Lister               = &REST{}
	_ rest.Getter               = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// New serves these components.
func New(components ...Component) *REST { return &REST{components: components} }

// New is an empty object.
func (*REST) New() runtime.Object { return &corev1.ComponentStatus{} }

// NewList is an empty list.
func (*REST) NewList() runtime.Object { return &corev1.ComponentStatusList{} }

// Destroy has nothing to end.
func (*REST) Destroy() {}

// NamespaceScoped is false.
func (*REST) NamespaceScoped() bool { return false }

// ShortNames is what kubectl knows besides.
func (*REST) ShortNames() []string { return []string{"cs"} }

// GetSingularName is the name of one.
func (*REST) GetSingularName() string { return "componentstatus" }

// List asks all components.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	byLabel, byField := labels.Everything(), fields.Everything()
	if options != nil && options.LabelSelector != nil {
		byLabel = options.LabelSelector
	}
	if options != nil && options.FieldSelector != nil {
		byField = options.FieldSelector
	}
	out := &corev1.ComponentStatusList{Items: []corev1.ComponentStatus{}}
	for _, c := range r.components {
		if byLabel.Matches(labels.Set{}) && byField.Matches(fields.Set{"metadata.name": c.Name}) {
			out.Items = append(out.Items, c.status(ctx))
		}
	}
	return out, nil
}

// Get asks one component.
func (r *REST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	i := slices.IndexFunc(r.components, func(c Component) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("Component not found: %s", name) // upstream's text
	}
	status := r.components[i].status(ctx)
	return &status, nil
}

func (c Component) status(ctx context.Context) corev1.ComponentStatus {
	condition := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}
	if err := c.Check(ctx); err != nil {
		condition.Status, condition.Message, condition.Error = corev1.ConditionFalse, "", err.Error()
	}
	return corev1.ComponentStatus{ObjectMeta: metav1.ObjectMeta{Name: c.Name}, Conditions: []corev1.ComponentCondition{condition}}
}

var header = columns.Definitions{
	columns.Name(),
	columns.Column("Status", "string", "Status of the component conditions"),
	columns.Column("Message", "string", "Message of the component conditions"),
	columns.Column("Error", "string", "Error of the component conditions"),
}

// ConvertToTable prints what was answered.
func (*REST) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		table.ColumnDefinitions = header
	}
	add := func(s *corev1.ComponentStatus) {
		row := []any{s.Name, "Unknown", "", ""}
		for _, c := range s.Conditions {
			if c.Type != corev1.ComponentHealthy {
				continue
			}
			row = []any{s.Name, "Unhealthy", c.Message, c.Error}
			if c.Status == corev1.ConditionTrue {
				row[1] = "Healthy"
			}
			break
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: row, Object: runtime.RawExtension{Object: s}})
	}
	switch o := obj.(type) {
	case *corev1.ComponentStatus:
		add(o)
	case *corev1.ComponentStatusList:
		for i := range o.Items {
			add(&o.Items[i])
		}
	}
	return table, nil
}
