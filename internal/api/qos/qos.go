// Package qos finds the quality of service class of a pod.
package qos

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// compute are the resources that the class depends on.
var compute = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

// total is what all containers of a pod want together.
type total struct {
	requests, limits map[corev1.ResourceName]resource.Quantity
	limited          bool // each container has all limits
}

// Class computes the class from the pod's spec.
func Class(p *corev1.Pod) corev1.PodQOSClass {
	t := total{
		requests: map[corev1.ResourceName]resource.Quantity{},
		limits:   map[corev1.ResourceName]resource.Quantity{},
		limited:  true,
	}
	if r := p.Spec.Resources; r != nil && len(r.Requests)+len(r.Limits) > 0 {
		t.add(r.Requests, r.Limits, len(r.Limits) > 0)
	} else {
		for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range list {
				t.add(list[i].Resources.Requests, list[i].Resources.Limits, true)
			}
		}
	}
	switch {
	case len(t.requests) == 0 && len(t.limits) == 0:
		return corev1.PodQOSBestEffort
	case t.limited && t.equal():
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

func (t *total) add(requests, limits corev1.ResourceList, mustLimit bool) {
	for _, name := range compute {
		if q := requests[name]; q.Sign() > 0 {
			sum := t.requests[name]
			sum.Add(q)
			t.requests[name] = sum
		}
		q := limits[name]
		if q.Sign() > 0 {
			sum := t.limits[name]
			sum.Add(q)
			t.limits[name] = sum
		} else if mustLimit {
			t.limited = false
		}
	}
}

func (t *total) equal() bool {
	return len(t.requests) == len(t.limits) && !slices.ContainsFunc(compute, func(n corev1.ResourceName) bool {
		request, requested := t.requests[n]
		limit, limited := t.limits[n]
		return requested != limited || request.Cmp(limit) != 0
	})
}
