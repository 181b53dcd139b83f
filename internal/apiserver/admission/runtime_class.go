package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
)

var errOtherOverhead = errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")

// runtimeClass gives a pod what its runtime class brings: an overhead, and
// where it can run. Few pods name a class, so it asks the API for it.
type runtimeClass struct {
	*admission.Handler
	client kubernetes.Interface
}

func newRuntimeClass(o Options) *runtimeClass {
	return &runtimeClass{admission.NewHandler(admission.Create), o.Client}
}

// Admit implements admission.MutationInterface.
func (p *runtimeClass) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, ok := createdPod(a)
	if !ok {
		return nil
	}
	class, err := p.classOf(ctx, a, pod)
	if err != nil || class == nil {
		return err
	}
	if class.Overhead != nil {
		if len(pod.Spec.Overhead) > 0 && !sameOverhead(class, pod) {
			return admission.NewForbidden(a, errOtherOverhead)
		}
		pod.Spec.Overhead = class.Overhead.PodFixed
	}
	if s := class.Scheduling; s != nil {
		selector := maps.Clone(s.NodeSelector)
		for key, value := range pod.Spec.NodeSelector {
			if wanted, both := selector[key]; both && wanted != value {
				return admission.NewForbidden(a, fmt.Errorf("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, wanted, key, value))
			}
			if selector == nil {
				selector = map[string]string{}
			}
			selector[key] = value
		}
		pod.Spec.NodeSelector = selector
		pod.Spec.Tolerations = mergeTolerations(pod.Spec.Tolerations, s.Tolerations)
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *runtimeClass) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, ok := createdPod(a)
	if !ok {
		return nil
	}
	class, err := p.classOf(ctx, a, pod)
	switch {
	case err != nil:
		return err
	case class != nil && class.Overhead != nil:
		if !sameOverhead(class, pod) {
			return admission.NewForbidden(a, errOtherOverhead)
		}
	case len(pod.Spec.Overhead) > 0:
		return admission.NewForbidden(a, errors.New("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
	}
	return nil
}

func (p *runtimeClass) classOf(ctx context.Context, a admission.Attributes, pod *corev1.Pod) (*nodev1.RuntimeClass, error) {
	if pod.Spec.RuntimeClassName == nil {
		return nil, nil
	}
	class, err := p.client.NodeV1().RuntimeClasses().Get(ctx, *pod.Spec.RuntimeClassName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, admission.NewForbidden(a, fmt.Errorf("pod rejected: RuntimeClass %q not found", *pod.Spec.RuntimeClassName))
	case err != nil:
		return nil, err
	}
	return class, nil
}

func sameOverhead(class *nodev1.RuntimeClass, pod *corev1.Pod) bool {
	return equality.Semantic.DeepEqual(class.Overhead.PodFixed, pod.Spec.Overhead)
}

// mergeTolerations keeps of all tolerations those that no other one includes,
// and of equal ones the first.
func mergeTolerations(first, second []corev1.Toleration) []corev1.Toleration {
	all := append(first[:len(first):len(first)], second...)
	var merged []corev1.Toleration
	for i := range all {
		if !redundant(all, i) {
			merged = append(merged, all[i])
		}
	}
	return merged
}

func redundant(all []corev1.Toleration, i int) bool {
	for j := range all {
		same := equality.Semantic.DeepEqual(all[i], all[j])
		if j < i && (same || includes(&all[j], &all[i]) && !redundant(all, j)) || j > i && !same && includes(&all[j], &all[i]) {
			return true
		}
	}
	return false
}

// includes says whether whatever b tolerates is tolerated by a.
func includes(a, b *corev1.Toleration) bool {
	anyKey := a.Key == "" && a.Operator == corev1.TolerationOpExists
	if a.Key != b.Key && !anyKey || a.Effect != b.Effect && a.Effect != "" {
		return false
	}
	if a.Effect == corev1.TaintEffectNoExecute && a.TolerationSeconds != nil &&
		(b.TolerationSeconds == nil || *b.TolerationSeconds > *a.TolerationSeconds) {
		return false
	}
	switch a.Operator {
	case corev1.TolerationOpEqual, "":
		return (b.Operator == corev1.TolerationOpEqual || b.Operator == "") && a.Value == b.Value
	case corev1.TolerationOpExists:
		return true
	}
	return false
}
