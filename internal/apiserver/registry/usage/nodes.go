package usage

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	plan "berth.dev/berth/internal/plan/usage"
)

// Stored are the objects whose use is asked for.
type Stored interface {
	rest.Lister
	rest.Getter
}

// Nodes serves the use of nodes.
type Nodes struct {
	stored  Stored
	sampler *Sampler
}

var (
	_ rest.Lister               = &Nodes{}
	_ rest.Getter               = &Nodes{}
	_ rest.Scoper               = &Nodes{}
	_ rest.SingularNameProvider = &Nodes{}
)

// NewNodes serves the use of the stored nodes.
func NewNodes(stored Stored, sampler *Sampler) *Nodes { return &Nodes{stored, sampler} }

// New is an empty object.
func (*Nodes) New() runtime.Object { return &metricsv1beta1.NodeMetrics{} }

// NewList is an empty list.
func (*Nodes) NewList() runtime.Object { return &metricsv1beta1.NodeMetricsList{} }

// Destroy has nothing to end.
func (*Nodes) Destroy() {}

// NamespaceScoped is false.
func (*Nodes) NamespaceScoped() bool { return false }

// GetSingularName is as metrics-server has it: none.
func (*Nodes) GetSingularName() string { return "" }

// List answers for the selected nodes of which anything is known.
func (n *Nodes) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	listed, err := n.stored.List(ctx, selecting(options))
	if err != nil {
		return nil, err
	}
	nodes := listed.(*corev1.NodeList).Items
	names := make([]string, len(nodes))
	for i := range nodes {
		names[i] = nodes[i].Name
	}
	rates := n.sampler.Rates(ctx, names)
	out := &metricsv1beta1.NodeMetricsList{Items: []metricsv1beta1.NodeMetrics{}}
	for i := range nodes {
		if r := rates[nodes[i].Name].Node; r != nil {
			out.Items = append(out.Items, nodeMetrics(&nodes[i], *r))
		}
	}
	return out, nil
}

// Get answers for one node.
func (n *Nodes) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := n.stored.Get(ctx, name, options)
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewNotFound(corev1.Resource("nodes"), name) // the node, not its metrics
	}
	if err != nil {
		return nil, err
	}
	r := n.sampler.Rates(ctx, []string{name})[name].Node
	if r == nil {
		return nil, apierrors.NewNotFound(metricsv1beta1.Resource("nodes"), name)
	}
	out := nodeMetrics(obj.(*corev1.Node), *r)
	return &out, nil
}

func nodeMetrics(node *corev1.Node, r plan.Rate) metricsv1beta1.NodeMetrics {
	return metricsv1beta1.NodeMetrics{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, CreationTimestamp: metav1.Now(), Labels: node.Labels},
		Timestamp:  metav1.NewTime(r.Time), Window: metav1.Duration{Duration: r.Window},
		Usage: resources(r),
	}
}

// resources are in the units of metrics-server.
func resources(r plan.Rate) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewScaledQuantity(r.CPU, resource.Nano),
		corev1.ResourceMemory: *resource.NewQuantity(r.Memory, resource.BinarySI),
	}
}

// selecting are the parts of the options that say which objects are meant.
func selecting(options *metainternalversion.ListOptions) *metainternalversion.ListOptions {
	out := &metainternalversion.ListOptions{}
	if options != nil {
		out.LabelSelector, out.FieldSelector = options.LabelSelector, options.FieldSelector
	}
	return out
}

// ConvertToTable prints what was answered.
func (*Nodes) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	switch o := obj.(type) {
	case *metricsv1beta1.NodeMetrics:
		return table(options, row{o.Name, o.Usage, o.Window, o}), nil
	case *metricsv1beta1.NodeMetricsList:
		rows := make([]row, len(o.Items))
		for i := range o.Items {
			rows[i] = row{o.Items[i].Name, o.Items[i].Usage, o.Items[i].Window, &o.Items[i]}
		}
		return table(options, rows...), nil
	}
	return table(options), nil
}
