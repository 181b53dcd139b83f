package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// PriorityClasses looks up priority classes.
type PriorityClasses interface {
	// Get returns the class of that name, or a NotFound error.
	Get(ctx context.Context, name string) (*schedulingv1.PriorityClass, error)
	// Default returns the class that pods without one have, or nil.
	Default(ctx context.Context) (*schedulingv1.PriorityClass, error)
}

// systemClasses exist without an object.
var systemClasses = map[string]int32{
	"system-cluster-critical": 2_000_000_000,
	"system-node-critical":    2_000_001_000,
}

// priority puts a pod's priority into its spec.
type priority struct {
	*admission.Handler
	classes PriorityClasses
}

func newPriority(classes PriorityClasses) *priority {
	return &priority{admission.NewHandler(admission.Create), classes}
}

// Admit implements admission.MutationInterface.
func (p *priority) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, ok := createdPod(a)
	if !ok {
		return nil
	}
	class, err := p.classOf(ctx, pod)
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	if have := pod.Spec.Priority; have != nil && *have != class.Value {
		return admission.NewForbidden(a, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *have, class.Value))
	}
	pod.Spec.PriorityClassName = class.Name
	pod.Spec.Priority = &class.Value
	policy := corev1.PreemptLowerPriority
	if class.PreemptionPolicy != nil {
		policy = *class.PreemptionPolicy
	}
	if have := pod.Spec.PreemptionPolicy; have != nil && *have != policy {
		return admission.NewForbidden(a, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *have, policy))
	}
	pod.Spec.PreemptionPolicy = &policy
	return nil
}

func (p *priority) classOf(ctx context.Context, pod *corev1.Pod) (schedulingv1.PriorityClass, error) {
	name := pod.Spec.PriorityClassName
	if value, ok := systemClasses[name]; ok {
		class := schedulingv1.PriorityClass{Value: value}
		class.Name = name
		return class, nil
	}
	if p.classes == nil {
		if name != "" {
			return schedulingv1.PriorityClass{}, noClass(name)
		}
		return schedulingv1.PriorityClass{}, nil
	}
	if name == "" {
		class, err := p.classes.Default(ctx)
		if err != nil {
			return schedulingv1.PriorityClass{}, fmt.Errorf("failed to get default priority class: %v", err)
		}
		if class == nil {
			return schedulingv1.PriorityClass{}, nil
		}
		return *class, nil
	}
	class, err := p.classes.Get(ctx, name)
	switch {
	case errors.IsNotFound(err):
		return schedulingv1.PriorityClass{}, noClass(name)
	case err != nil:
		return schedulingv1.PriorityClass{}, fmt.Errorf("failed to get PriorityClass with name %s: %v", name, err)
	}
	return *class, nil
}

func noClass(name string) error { return fmt.Errorf("no PriorityClass with name %v was found", name) }

// createdPod returns the pod that a request creates.
func createdPod(a admission.Attributes) (*corev1.Pod, bool) {
	if a.GetResource().GroupResource() != corev1.Resource("pods") || a.GetSubresource() != "" || a.GetOperation() != admission.Create {
		return nil, false
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	return pod, ok
}
