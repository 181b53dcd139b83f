package why

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod says what a pod waits for; nothing when it is ready or has done its work.
func (f *Facts) pod(pod *corev1.Pod) []Answer {
	switch {
	case pod.DeletionTimestamp != nil:
		return f.terminating(pod)
	case pod.Status.Phase == corev1.PodFailed, pod.Status.Phase == corev1.PodSucceeded:
		return f.ended(pod)
	case len(pod.Spec.SchedulingGates) > 0:
		return []Answer{f.gated(pod)}
	case pod.Spec.NodeName == "":
		return f.unplaced(pod)
	}
	if answers := f.node(pod); len(answers) > 0 {
		return answers
	}
	var answers []Answer
	if !isReady(pod) {
		answers = append(answers, f.volumes(pod)...)
	}
	answers = append(answers, f.containers(pod)...)
	if len(answers) > 0 || isReady(pod) {
		return answers
	}
	if gate := f.readinessGate(pod); gate != nil {
		return []Answer{*gate}
	}
	return []Answer{f.comingUp(pod, "nothing is wrong with it so far")}
}

func ref(pod *corev1.Pod) string { return "pod/" + pod.Name }

func (f *Facts) comingUp(pod *corev1.Pod, sentence string) Answer {
	return Answer{
		Reason: ComingUp, Object: ref(pod), Since: at(pod.CreationTimestamp.Time), Passes: Yes,
		Sentence: fmt.Sprintf("pod %s is on its way up: %s", pod.Name, sentence),
		Next:     f.command("get pod %s --watch", pod.Name),
	}
}

func (f *Facts) ended(pod *corev1.Pod) []Answer {
	owner := metav1.GetControllerOfNoCopy(pod)
	if pod.Status.Phase == corev1.PodSucceeded && (owner == nil || owner.Kind == "Job") {
		return nil
	}
	a := Answer{
		Reason: PodEnded, Object: ref(pod), Passes: No, Since: at(notReadySince(pod)),
		Sentence: fmt.Sprintf("pod %s has ended (%s%s)", pod.Name, pod.Status.Phase, because(pod.Status.Reason, pod.Status.Message)),
		Next:     f.command("delete pod %s", pod.Name),
	}
	if owner != nil {
		a.Passes = Yes
		a.Sentence += fmt.Sprintf("; %s %s replaces it", owner.Kind, owner.Name)
		a.Next = f.command("describe pod %s", pod.Name)
		if owner.Kind != "StatefulSet" {
			a.Passes = Unknown
		}
	}
	return []Answer{a}
}

// because is ": reason: message" with what there is of both.
func because(reason, message string) string {
	var parts []string
	for _, p := range []string{reason, brief(message)} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ": ")
}

func (f *Facts) gated(pod *corev1.Pod) Answer {
	var gates []string
	for _, g := range pod.Spec.SchedulingGates {
		gates = append(gates, g.Name)
	}
	return Answer{
		Reason: SchedulingGated, Object: ref(pod), Since: at(pod.CreationTimestamp.Time), Passes: No,
		Sentence: fmt.Sprintf("pod %s is not scheduled before its scheduling gates are removed: %s", pod.Name, strings.Join(gates, ", ")),
		Next:     f.command(`patch pod %s --type=json -p '[{"op":"remove","path":"/spec/schedulingGates"}]'`, pod.Name),
	}
}

func (f *Facts) readinessGate(pod *corev1.Pod) *Answer {
	for _, gate := range pod.Spec.ReadinessGates {
		c := condition(pod, gate.ConditionType)
		if c != nil && c.Status == corev1.ConditionTrue {
			continue
		}
		said := "nobody has set it"
		if c != nil {
			said = "it is " + string(c.Status) + because(c.Reason, c.Message)
		}
		return &Answer{
			Reason: ReadinessGate, Object: ref(pod), Since: at(notReadySince(pod)), Passes: Unknown,
			Sentence: fmt.Sprintf("pod %s waits for its readiness gate %s: %s", pod.Name, gate.ConditionType, said),
			Next:     f.command("get pod %s -o jsonpath='{.status.conditions}'", pod.Name),
		}
	}
	return nil
}

// volumes says what keeps the pod's volumes from being set up.
func (f *Facts) volumes(pod *corev1.Pod) []Answer {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].State.Waiting == nil {
			return nil // they are up
		}
	}
	failed := f.events("Pod", pod.Name, pod.UID, "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
	if len(failed) == 0 || f.Now.Sub(last(failed[0])) > staleAfter {
		return nil
	}
	e := failed[0]
	a := Answer{
		Reason: VolumeNotMounted, Object: ref(pod), Since: at(first(e)), Passes: Unknown,
		Sentence: fmt.Sprintf("pod %s cannot start on node %s: %s", pod.Name, pod.Spec.NodeName, brief(e.Message)),
		Next:     f.command("describe pod %s", pod.Name),
	}
	if e.Reason == "FailedCreatePodSandBox" {
		a.Reason = ContainerNotCreated
	}
	if next := f.createMissing(e.Message); next != "" {
		a.Reason, a.Passes, a.Next = ConfigMissing, No, next
	}
	return []Answer{a}
}

// staleAfter is for how long an event speaks of the present: what goes on
// failing is tried again sooner.
const staleAfter = 6 * time.Minute

// createMissing is the command that makes what a message says is not there.
func (f *Facts) createMissing(message string) string {
	if name, ok := between(message, `configmap "`, `" not found`); ok {
		return f.command("create configmap %s --from-file=FILE", name)
	}
	if name, ok := between(message, `secret "`, `" not found`); ok {
		return f.command("create secret generic %s --from-file=FILE", name)
	}
	if key, rest, ok := cut(message, "couldn't find key ", " in "); ok {
		kind, name := "configmap", ""
		if strings.HasPrefix(rest, "Secret ") {
			kind = "secret"
		}
		if words := strings.Fields(rest); len(words) > 1 {
			_, name, _ = strings.Cut(words[1], "/")
		}
		field := "data"
		if kind == "secret" {
			field = "stringData"
		}
		return f.command(`patch %s %s --type=merge -p '{"%s":{"%s":"VALUE"}}'`, kind, strings.Trim(name, `"`), field, key)
	}
	if strings.Contains(message, "references non-existent config key: ") {
		_, key, _ := strings.Cut(message, "references non-existent config key: ")
		return "add the key " + brief(key)
	}
	return ""
}

func between(text, before, after string) (string, bool) {
	_, rest, ok := strings.Cut(text, before)
	if !ok {
		return "", false
	}
	inside, _, ok := strings.Cut(rest, after)
	return inside, ok
}

func cut(text, before, after string) (inside, rest string, ok bool) {
	_, rest, ok = strings.Cut(text, before)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, after)
}
