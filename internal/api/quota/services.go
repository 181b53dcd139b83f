package quota

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
)

// services are charged for themselves, node ports and load balancers. A
// change of type changes the charge.
type services struct{}

func (services) scoped() bool { return false }

func (services) handles(a attributes) bool {
	return a.GetSubresource() == "" && (a.GetOperation() == admission.Create || a.GetOperation() == admission.Update)
}

func (services) constraints([]corev1.ResourceName, runtime.Object) error { return nil }

func (services) tracked(name corev1.ResourceName) bool {
	switch name {
	case count("services"), corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return false
}

func (services) inScope(corev1.ScopedResourceSelectorRequirement, runtime.Object) (bool, error) {
	return false, nil
}

func (services) usage(obj runtime.Object) (corev1.ResourceList, error) {
	s, ok := obj.(*corev1.Service)
	if !ok {
		return nil, unexpected("service", obj)
	}
	ports, balancers := 0, int64(0)
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		ports = len(s.Spec.Ports)
	case corev1.ServiceTypeLoadBalancer:
		balancers = 1
		// Ports are not allocated yet, so what counts is whether they will be.
		given := s.Spec.AllocateLoadBalancerNodePorts
		for _, p := range s.Spec.Ports {
			if given == nil || *given || p.NodePort != 0 {
				ports++
			}
		}
	}
	return corev1.ResourceList{
		count("services"): one(), corev1.ResourceServices: one(),
		corev1.ResourceServicesNodePorts:     *resource.NewQuantity(int64(ports), resource.DecimalSI),
		corev1.ResourceServicesLoadBalancers: *resource.NewQuantity(balancers, resource.DecimalSI),
	}, nil
}
