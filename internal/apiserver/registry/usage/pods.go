package usage

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	plan "berth.dev/berth/internal/plan/usage"
)

// Pods serves the use of pods.
type Pods struct {
	stored  Stored
	sampler *Sampler
}

var (
	_ rest.Lister               = &Pods{}
	_ rest.Getter               = &Pods{}
	_ rest.Scoper               = &Pods{}
	_ rest.SingularNameProvider = &Pods{}
)

// NewPods serves the use of the stored pods.
func NewPods(stored Stored, sampler *Sampler) *Pods { return &Pods{stored, sampler} }

// New is an empty object.
func (*Pods) New() runtime.Object { return &metricsv1beta1.PodMetrics{} }

// NewList is an empty list.
func (*Pods) NewList() runtime.Object { return &metricsv1beta1.PodMetricsList{} }

// Destroy has nothing to end.
func (*Pods) Destroy() {}

// NamespaceScoped is true.
func (*Pods) NamespaceScoped() bool { return true }

// GetSingularName is as metrics-server has it: none.
func (*Pods) GetSingularName() string { return "" }

// List answers for the selected running pods of whose containers all is known.
func (p *Pods) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	listed, err := p.stored.List(ctx, selecting(options))
	if err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(listed.(*corev1.PodList).Items, func(pod corev1.Pod) bool { return !runs(&pod) })
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	var nodes []string
	for i := range pods {
		nodes = append(nodes, pods[i].Spec.NodeName)
	}
	slices.Sort(nodes)
	rates := p.sampler.Rates(ctx, slices.Compact(nodes))
	out := &metricsv1beta1.PodMetricsList{Items: []metricsv1beta1.PodMetrics{}}
	for i := range pods {
		if m, known := podMetrics(&pods[i], rates[pods[i].Spec.NodeName]); known {
			out.Items = append(out.Items, m)
		}
	}
	return out, nil
}

// Get answers for one pod.
func (p *Pods) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := p.stored.Get(ctx, name, options)
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), name) // the pod, not its metrics
	}
	if err != nil {
		return nil, err
	}
	pod := obj.(*corev1.Pod)
	if runs(pod) {
		node := pod.Spec.NodeName
		if m, known := podMetrics(pod, p.sampler.Rates(ctx, []string{node})[node]); known {
			return &m, nil
		}
	}
	return nil, apierrors.NewNotFound(metricsv1beta1.Resource("pods"), pod.Namespace+"/"+pod.Name)
}

func runs(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.Spec.NodeName != ""
}

// podMetrics sums nothing up: half of a pod would look idle. The window is that
// of the container known for the shortest time.
func podMetrics(pod *corev1.Pod, rates plan.Rates) (metricsv1beta1.PodMetrics, bool) {
	out := metricsv1beta1.PodMetrics{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, CreationTimestamp: metav1.Now(), Labels: pod.Labels},
	}
	for _, name := range running(pod) {
		r, known := rates.Containers[plan.Container{Namespace: pod.Namespace, Pod: pod.Name, Name: name}]
		if !known {
			return out, false
		}
		if len(out.Containers) == 0 || r.Window < out.Window.Duration {
			out.Window.Duration, out.Timestamp = r.Window, metav1.NewTime(r.Time)
		}
		out.Containers = append(out.Containers, metricsv1beta1.ContainerMetrics{Name: name, Usage: resources(r)})
	}
	return out, len(out.Containers) > 0
}

// running are the names of the containers that run now.
func running(pod *corev1.Pod) []string {
	var names []string
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for _, c := range list {
			if c.State.Running != nil {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// ConvertToTable prints what was answered.
func (*Pods) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	one := func(p *metricsv1beta1.PodMetrics) row {
		sum := corev1.ResourceList{}
		for _, c := range p.Containers {
			for name, used := range c.Usage {
				total := sum[name]
				total.Add(used)
				sum[name] = total
			}
		}
		return row{p.Name, sum, p.Window, p}
	}
	switch o := obj.(type) {
	case *metricsv1beta1.PodMetrics:
		return table(options, one(o)), nil
	case *metricsv1beta1.PodMetricsList:
		rows := make([]row, len(o.Items))
		for i := range o.Items {
			rows[i] = one(&o.Items[i])
		}
		return table(options, rows...), nil
	}
	return table(options), nil
}
