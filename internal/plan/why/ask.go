package why

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/statefulset"
)

// Kinds are the kinds that can be asked about, with their short names.
var Kinds = map[string][]string{
	"statefulset":           {"sts", "statefulsets"},
	"pod":                   {"po", "pods"},
	"persistentvolumeclaim": {"pvc", "persistentvolumeclaims"},
	"service":               {"svc", "services"},
	"deployment":            {"deploy", "deployments"},
	"job":                   {"jobs"},
	"poddisruptionbudget":   {"pdb", "poddisruptionbudgets"},
}

// Kind is the full name of a kind as people write it, empty when it cannot be
// asked about.
func Kind(written string) string {
	written = strings.ToLower(written)
	for kind, short := range Kinds {
		if written == kind || slices.Contains(short, written) {
			return kind
		}
	}
	return ""
}

// Ask says what the object waits for. The error says that there is no such object.
func Ask(f *Facts, kind, name string) (Report, error) {
	object := kind + "/" + name
	missing := func() (Report, error) {
		return Report{}, fmt.Errorf("%s not found in namespace %s", object, f.Name)
	}
	var answers []Answer
	summary := ""
	switch kind {
	case "statefulset":
		set, ok := named(f.Sets, name)
		if !ok {
			return missing()
		}
		answers, summary = f.set(set)
	case "pod":
		pod, ok := named(f.Pods, name)
		if !ok {
			set := f.setOf(name)
			if set == nil {
				return missing()
			}
			answers, summary = f.absentPod(set, name)
			break
		}
		answers, summary = f.podAndPlace(pod)
	case "persistentvolumeclaim":
		claim, ok := named(f.Claims, name)
		if !ok {
			return missing()
		}
		answers, summary = f.claim(claim), "it is "+phaseWord(claim)
	case "service":
		svc, ok := named(f.Services, name)
		if !ok {
			return missing()
		}
		answers, summary = f.service(svc)
	case "deployment":
		d, ok := named(f.Deployments, name)
		if !ok {
			return missing()
		}
		answers, summary = f.deployment(d)
	case "job":
		j, ok := named(f.Jobs, name)
		if !ok {
			return missing()
		}
		answers, summary = f.job(j)
	case "poddisruptionbudget":
		b, ok := named(f.Budgets, name)
		if !ok {
			return missing()
		}
		answers, summary = f.budget(b)
	default:
		return Report{}, fmt.Errorf("%q cannot be asked about", kind)
	}
	answers = append(f.namespaceAnswers(), answers...)
	r := finish(object, f.Name, answers)
	r.Unread = f.Unread
	r.Summary = summary
	return r, nil
}

// namespaceAnswers says that the namespace goes.
func (f *Facts) namespaceAnswers() []Answer {
	ns := f.Namespace
	if ns == nil || ns.DeletionTimestamp == nil {
		return nil
	}
	a := Answer{
		Reason: NamespaceTerminating, Object: "namespace/" + ns.Name, Since: at(ns.DeletionTimestamp.Time), Passes: No,
		Sentence: "namespace " + ns.Name + " is being deleted: nothing new is made in it",
		Next:     f.global("get namespace %s -o jsonpath='{.status.conditions}'", ns.Name),
	}
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			a.Details = append(a.Details, brief(c.Message))
		}
	}
	return []Answer{a}
}

// podAndPlace is a pod with what its set says about it.
func (f *Facts) podAndPlace(pod *corev1.Pod) ([]Answer, string) {
	answers := f.pod(pod)
	summary := fmt.Sprintf("it is %s", podWord(pod))
	if len(answers) > 0 || !isReady(pod) {
		return answers, summary
	}
	return append(answers, f.blockedEviction(pod)...), summary
}

func podWord(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return "terminating"
	case isReady(pod):
		return "ready"
	case pod.Status.Phase == "":
		return "pending"
	case pod.Status.Phase == corev1.PodRunning:
		return "running and not ready"
	}
	return strings.ToLower(string(pod.Status.Phase))
}

// absentPod says why a set's pod does not exist.
func (f *Facts) absentPod(set *setFacts, name string) ([]Answer, string) {
	answers, _ := f.set(set.set)
	_, ordinal, _ := statefulset.ParseName(name)
	if !set.state.Wants(ordinal) {
		return nil, fmt.Sprintf("it does not exist, and StatefulSet %s does not want it (replicas: %d)", set.set.Name, set.state.Replicas)
	}
	return answers, fmt.Sprintf("it does not exist yet; StatefulSet %s makes it", set.set.Name)
}
