package why

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func labelSet(l map[string]string) labels.Set { return labels.Set(l) }

// governing looks at the Service that gives a set's pods their DNS names.
func (f *Facts) governing(s *setFacts) []Answer {
	name := s.set.Spec.ServiceName
	if name == "" || f.Services == nil {
		return nil
	}
	svc, ok := named(f.Services, name)
	if !ok {
		return []Answer{{
			Reason: ServiceMissing, Object: "service/" + name, Passes: No, Since: at(s.set.CreationTimestamp.Time),
			Change:   &Change{s.object(), "spec.serviceName"},
			Sentence: fmt.Sprintf("Service %s, which StatefulSet %s names, does not exist: its pods have no DNS names", name, s.set.Name),
			Next:     f.command("create service clusterip %s --clusterip=None", name) + "   # then give it the selector " + pairs(s.set.Spec.Template.Labels),
		}}
	}
	if len(svc.Spec.Selector) == 0 || labels.SelectorFromSet(svc.Spec.Selector).Matches(labelSet(s.set.Spec.Template.Labels)) {
		return nil
	}
	return []Answer{{
		Reason: ServiceSelectsNone, Object: "service/" + name, Passes: No, Since: at(svc.CreationTimestamp.Time),
		Change:   &Change{"service/" + name, "spec.selector"},
		Sentence: fmt.Sprintf("Service %s selects %s, and the pods of StatefulSet %s have %s: they have no DNS names", name, pairs(svc.Spec.Selector), s.set.Name, pairs(s.set.Spec.Template.Labels)),
		Next:     f.command("set selector service %s %s", name, pairs(s.set.Spec.Template.Labels)),
	}}
}

func pairs(l map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(l)) {
		all = append(all, key+"="+l[key])
	}
	return strings.Join(all, ",")
}

// service says why nothing answers behind a Service.
func (f *Facts) service(svc *corev1.Service) ([]Answer, string) {
	if len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, "it selects no pods: somebody else says where it leads"
	}
	selected := f.selected(labels.SelectorFromSet(svc.Spec.Selector))
	if len(selected) == 0 {
		return []Answer{{
			Reason: ServiceSelectsNone, Object: "service/" + svc.Name, Passes: No, Since: at(svc.CreationTimestamp.Time),
			Change:   &Change{"service/" + svc.Name, "spec.selector"},
			Sentence: fmt.Sprintf("Service %s selects %s, and no pod in namespace %s has that", svc.Name, pairs(svc.Spec.Selector), f.Name),
			Next:     f.command("get pods --show-labels"),
		}}, "it selects no pod"
	}
	ready := 0
	var answers []Answer
	for _, pod := range selected {
		if isReady(pod) && pod.DeletionTimestamp == nil {
			ready++
			continue
		}
		answers = append(answers, f.pod(pod)...)
	}
	return answers, fmt.Sprintf("%d of %s behind it ready", ready, count(len(selected), "pod"))
}

func (f *Facts) selected(selector labels.Selector) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range f.Pods {
		if selector.Matches(labelSet(pod.Labels)) && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			pods = append(pods, pod)
		}
	}
	return pods
}

// blockedEviction: the pod's node is being emptied and a budget refuses.
func (f *Facts) blockedEviction(pod *corev1.Pod) []Answer {
	node, ok := named(f.Nodes, pod.Spec.NodeName)
	if !ok || !node.Spec.Unschedulable {
		return nil
	}
	for _, b := range f.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || !selector.Matches(labelSet(pod.Labels)) {
			continue
		}
		if a, ok := f.spent(b); ok {
			a.Object = ref(pod)
			a.Sentence = fmt.Sprintf("node %s is cordoned, and pod %s cannot be evicted from it: %s", node.Name, pod.Name, a.Sentence)
			return []Answer{a}
		}
	}
	return nil
}

// spent says that a budget allows no disruption, and what would make it.
func (f *Facts) spent(b *policyv1.PodDisruptionBudget) (Answer, bool) {
	s := &b.Status
	if s.DisruptionsAllowed > 0 || s.ExpectedPods == 0 {
		return Answer{}, false
	}
	a := Answer{
		Reason: DisruptionBudget, Object: "poddisruptionbudget/" + b.Name, Passes: Unknown,
		Sentence: fmt.Sprintf("PodDisruptionBudget %s needs %d healthy pods and has %d of %d", b.Name, s.DesiredHealthy, s.CurrentHealthy, s.ExpectedPods),
		Next:     f.command("describe pdb %s", b.Name),
	}
	if s.DesiredHealthy >= s.ExpectedPods {
		a.Passes = No
		a.Sentence += ": it never allows one to go"
		a.Next = f.command(`patch pdb %s --type=merge -p '{"spec":{"minAvailable":null,"maxUnavailable":1}}'`, b.Name)
	}
	return a, true
}

// budget says why a budget allows no disruption.
func (f *Facts) budget(b *policyv1.PodDisruptionBudget) ([]Answer, string) {
	summary := fmt.Sprintf("%s may go now", count(int(b.Status.DisruptionsAllowed), "pod"))
	a, spent := f.spent(b)
	if !spent {
		return nil, summary
	}
	var answers []Answer
	if selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err == nil && a.Passes == Unknown {
		for _, pod := range f.selected(selector) {
			answers = append(answers, f.pod(pod)...)
		}
		a.Follows = len(answers) > 0
	}
	return append(answers, a), summary
}
