package admission

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	schedulinglisters "k8s.io/client-go/listers/scheduling/v1"
)

// systemClasses exist without an object.
var systemClasses = map[string]int32{
	"system-cluster-critical": 2_000_000_000,
	"system-node-critical":    2_000_001_000,
}

// priority puts a pod's priority into its spec, and lets there be one class
// only for pods that name none.
type priority struct {
	*admission.Handler
	classes schedulinglisters.PriorityClassLister
}

func newPriority(o Options) *priority {
	classes := o.Informers.Scheduling().V1().PriorityClasses()
	p := &priority{admission.NewHandler(admission.Create, admission.Update), classes.Lister()}
	p.SetReadyFunc(classes.Informer().HasSynced)
	return p
}

// Admit implements admission.MutationInterface.
func (p *priority) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, ok := createdPod(a)
	if !ok {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	class, err := p.classOf(pod)
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	if have := pod.Spec.Priority; have != nil && *have != class.Value {
		return admission.NewForbidden(a, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *have, class.Value))
	}
	pod.Spec.PriorityClassName = class.Name
	value := class.Value
	pod.Spec.Priority = &value
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

// Validate implements admission.ValidationInterface.
func (p *priority) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	class, ok := a.GetObject().(*schedulingv1.PriorityClass)
	if !ok || !class.GlobalDefault || a.GetSubresource() != "" || a.GetResource().GroupResource() != schedulingv1.Resource("priorityclasses") {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	have, err := p.defaultClass()
	switch {
	case err != nil:
		return err
	case have.Name == "", a.GetOperation() == admission.Update && have.Name == class.Name:
		return nil
	}
	return admission.NewForbidden(a, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", have.Name))
}

func (p *priority) classOf(pod *corev1.Pod) (*schedulingv1.PriorityClass, error) {
	name := pod.Spec.PriorityClassName
	if name == "" {
		return p.defaultClass()
	}
	if value, ok := systemClasses[name]; ok {
		return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}, nil
	}
	class, err := p.classes.Get(name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("no PriorityClass with name %v was found", name)
	case err != nil:
		return nil, fmt.Errorf("failed to get PriorityClass with name %s: %w", name, err)
	}
	return class, nil
}

// defaultClass is the class for pods that name none: of several the lowest,
// and without any the priority is zero.
func (p *priority) defaultClass() (*schedulingv1.PriorityClass, error) {
	all, err := p.classes.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("failed to get default priority class: %w", err)
	}
	least := &schedulingv1.PriorityClass{}
	found := false
	for _, class := range all {
		if class.GlobalDefault && (!found || class.Value < least.Value) {
			least, found = class, true
		}
	}
	return least, nil
}

// createdPod returns the pod that a request creates.
func createdPod(a admission.Attributes) (*corev1.Pod, bool) {
	if a.GetResource().GroupResource() != corev1.Resource("pods") || a.GetSubresource() != "" || a.GetOperation() != admission.Create {
		return nil, false
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	return pod, ok
}
