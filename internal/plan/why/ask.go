package why

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/statefulset"
)

// Kinds are the kinds that can be asked about, with their short names.
var Kinds = map[string][]string{
	"statefulset":             {"sts", "statefulsets"},
	"pod":                     {"po", "pods"},
	"persistentvolumeclaim":   {"pvc", "persistentvolumeclaims"},
	"service":                 {"svc", "services"},
	"deployment":              {"deploy", "deployments"},
	"replicaset":              {"rs", "replicasets"},
	"daemonset":               {"ds", "daemonsets"},
	"job":                     {"jobs"},
	"cronjob":                 {"cj", "cronjobs"},
	"horizontalpodautoscaler": {"hpa", "horizontalpodautoscalers"},
	"poddisruptionbudget":     {"pdb", "poddisruptionbudgets"},
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
	var answers []Answer
	var summary string
	var found bool
	switch kind {
	case "statefulset":
		answers, summary, found = about(f.Sets, name, f.set)
	case "pod":
		if answers, summary, found = about(f.Pods, name, f.podAndPlace); found {
			break
		}
		if set := f.setOf(name); set != nil {
			answers, summary = f.absentPod(set, name)
			found = true
		}
	case "persistentvolumeclaim":
		answers, summary, found = about(f.Claims, name, func(claim *corev1.PersistentVolumeClaim) ([]Answer, string) {
			return f.claim(claim), "it is " + phaseWord(claim)
		})
	case "service":
		answers, summary, found = about(f.Services, name, f.service)
	case "deployment":
		answers, summary, found = about(f.Deployments, name, f.deployment)
	case "replicaset":
		answers, summary, found = about(f.ReplicaSets, name, f.replicaSet)
	case "daemonset":
		answers, summary, found = about(f.DaemonSets, name, f.daemonSet)
	case "cronjob":
		answers, summary, found = about(f.CronJobs, name, f.cronJob)
	case "horizontalpodautoscaler":
		answers, summary, found = about(f.Autoscalers, name, f.autoscaler)
	case "job":
		answers, summary, found = about(f.Jobs, name, f.job)
	case "poddisruptionbudget":
		answers, summary, found = about(f.Budgets, name, f.budget)
	default:
		return Report{}, fmt.Errorf("%q cannot be asked about", kind)
	}
	if !found {
		return Report{}, fmt.Errorf("%s not found in namespace %s", object, f.Name)
	}
	answers = append(f.namespaceAnswers(), answers...)
	r := finish(object, f.Name, answers)
	r.Unread = f.Unread
	r.Summary = summary
	return r, nil
}

// about asks about the object of that name, if there is one.
func about[T metav1.Object](all []T, name string, ask func(T) ([]Answer, string)) (answers []Answer, summary string, found bool) {
	o, found := named(all, name)
	if found {
		answers, summary = ask(o)
	}
	return answers, summary, found
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
