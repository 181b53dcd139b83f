package endpoint

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Controller is the value of the managed-by label on slices of this decision.
const Controller = "endpointslice-controller.k8s.io"

// MaxPerSlice is how many endpoints one slice holds at most.
const MaxPerSlice = 100

// State is one Service with what it selects and the slices it has.
type State struct {
	Service *corev1.Service
	// Pods are the pods of the Service's namespace that its selector matches.
	Pods []*corev1.Pod
	// Zones are the zones of the nodes that have one.
	Zones map[string]string
	// Slices are the Service's slices that this controller manages.
	Slices []*discoveryv1.EndpointSlice
}

// Plan is what has to be written.
type Plan struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
}

// Empty says that nothing has to be written.
func (p Plan) Empty() bool {
	return len(p.Create)+len(p.Update)+len(p.Delete) == 0
}
