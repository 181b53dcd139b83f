package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// topologyLabels are what a pod learns of its node.
var topologyLabels = []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion}

// podTopologyLabels labels a pod with where its node is: on the binding, from
// which the pod takes it over, or at once if the pod comes with a node.
type podTopologyLabels struct {
	*admission.Handler
	nodes corelisters.NodeLister
}

func newPodTopologyLabels(o Options) *podTopologyLabels {
	nodes := o.Informers.Core().V1().Nodes()
	p := &podTopologyLabels{admission.NewHandler(admission.Create), nodes.Lister()}
	p.SetReadyFunc(nodes.Informer().HasSynced)
	return p
}

// Admit implements admission.MutationInterface.
func (p *podTopologyLabels) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != corev1.Resource("pods") {
		return nil
	}
	binding, binds := a.GetObject().(*corev1.Binding)
	pod, creates := createdPod(a)
	name, labels := "", (*map[string]string)(nil)
	switch {
	case binds && a.GetSubresource() == "binding" && binding.Target.Kind == "Node":
		name, labels = binding.Target.Name, &binding.Labels
	case creates:
		name, labels = pod.Spec.NodeName, &pod.Labels
	}
	if name == "" {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errNotReady)
	}
	node, err := p.nodes.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range topologyLabels {
		value, ok := node.Labels[key]
		if !ok {
			continue
		}
		if *labels == nil {
			*labels = map[string]string{}
		}
		(*labels)[key] = value
	}
	return nil
}
