package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/revision"
	"berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/plan/statefulset/override"
)

// setFacts is a set with what its planner makes of it.
type setFacts struct {
	set   *appsv1.StatefulSet
	pods  []*corev1.Pod // controlled by the set
	state statefulset.State
	plan  statefulset.Plan
}

func (f *Facts) observe(set *appsv1.StatefulSet) *setFacts {
	s := &setFacts{set: set, pods: controlledBy(f.Pods, set.UID)}
	overrides, problem := f.overrides(set)
	s.state = statefulset.Observe(statefulset.Facts{
		Overrides: overrides, OverridesError: problem,
		Template: func(name string) *corev1.PodTemplateSpec { return revision.TemplateOf(f.Revisions, name) },
		Set:      set, Pods: s.pods, Budgets: f.Budgets, Now: f.Now,
		Current: set.Status.CurrentRevision, Update: set.Status.UpdateRevision,
		Claim: func(name string) *corev1.PersistentVolumeClaim {
			claim, _ := named(f.Claims, name)
			return claim
		},
	})
	s.plan = statefulset.Decide(s.state, statefulset.Production)
	return s
}

// overrides are the patches that the set asks for.
func (f *Facts) overrides(set *appsv1.StatefulSet) (override.Set, string) {
	asked, _ := options.Parse(set.Annotations)
	found, known := f.Overrides[asked.Overrides]
	if asked.Overrides == "" || !known {
		return override.Set{}, ""
	}
	return override.Read(asked.Overrides, found)
}

// setOf is the set that a pod's name speaks of.
func (f *Facts) setOf(pod string) *setFacts {
	name, _, ok := statefulset.ParseName(pod)
	if !ok {
		return nil
	}
	if set, ok := named(f.Sets, name); ok {
		return f.observe(set)
	}
	return nil
}

func (s *setFacts) object() string { return "statefulset/" + s.set.Name }

func (s *setFacts) pod(ordinal int) *corev1.Pod {
	pod, _ := named(s.pods, statefulset.PodName(s.set.Name, ordinal))
	return pod
}

// set says what a StatefulSet waits for.
func (f *Facts) set(set *appsv1.StatefulSet) ([]Answer, string) {
	s := f.observe(set)
	summary := s.summary()
	if set.DeletionTimestamp != nil {
		return f.goingSet(s), summary
	}
	var answers []Answer
	answers = append(answers, f.behind(s)...)
	answers = append(answers, f.strangers(s)...)
	answers = append(answers, f.refusals(s)...)
	for _, pod := range s.pods {
		answers = append(answers, f.pod(pod)...)
	}
	for _, pod := range s.pods {
		if isReady(pod) {
			answers = append(answers, f.blockedEviction(pod)...)
		}
	}
	answers = append(answers, f.underWay(s, answers)...)
	for _, hold := range s.plan.Holds {
		answers = append(answers, f.hold(s, hold)...)
	}
	answers = append(answers, f.governing(s)...)
	return append(answers, s.deadline()...), summary
}

func (s *setFacts) summary() string {
	available, surplus := 0, 0
	for _, pod := range s.state.Pods {
		switch {
		case !s.state.Wants(pod.Ordinal):
			surplus++
		case pod.Health == statefulset.Available && !pod.Terminating:
			available++
		}
	}
	text := fmt.Sprintf("%d of %s available", available, count(s.state.Replicas, "pod"))
	if s.state.Replicas == 0 {
		text = "no pod is wanted"
	}
	if surplus > 0 {
		text += fmt.Sprintf(", %d surplus", surplus)
	}
	if s.state.Current != s.state.Update {
		updated := 0
		for _, pod := range s.state.Pods {
			if s.state.Wants(pod.Ordinal) && pod.Health != statefulset.Absent && pod.Revision == s.state.Update {
				updated++
			}
		}
		text += fmt.Sprintf(", %d of %d on revision %s", updated, s.state.Replicas, s.state.Update)
	}
	return text
}

// goingSet is a set that is being deleted.
func (f *Facts) goingSet(s *setFacts) []Answer {
	var answers []Answer
	for _, pod := range s.pods {
		if pod.DeletionTimestamp != nil {
			answers = append(answers, f.terminating(pod)...)
		}
	}
	answers = append(answers, f.underWay(s, answers)...)
	var others []string
	for _, name := range s.set.Finalizers {
		if name != options.TeardownFinalizer && name != metav1.FinalizerDeleteDependents && name != metav1.FinalizerOrphanDependents {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		return append(answers, f.finalizer("statefulset", s.set.Name, others, s.set.DeletionTimestamp.Time))
	}
	return append(answers, Answer{
		Reason: Terminating, Object: s.object(), Since: at(s.set.DeletionTimestamp.Time), Passes: Yes, Follows: len(answers) > 0,
		Sentence: fmt.Sprintf("StatefulSet %s is being deleted: it goes when its %s are gone", s.set.Name, count(len(s.pods), "pod")),
		Next:     f.command("get statefulset %s --watch", s.set.Name),
	})
}

// behind: the controller has not seen the last change.
func (f *Facts) behind(s *setFacts) []Answer {
	if s.set.Status.ObservedGeneration >= s.set.Generation {
		return nil
	}
	return []Answer{{
		Reason: ControllerBehind, Object: s.object(), Passes: Yes,
		Sentence: fmt.Sprintf("the StatefulSet controller has seen generation %d of %s, the set is at %d", s.set.Status.ObservedGeneration, s.set.Name, s.set.Generation),
		Next:     f.command("get statefulset %s --watch", s.set.Name),
	}}
}

// strangers are pods that have a name of the set's and are not its.
func (f *Facts) strangers(s *setFacts) []Answer {
	var answers []Answer
	for _, pod := range f.Pods {
		name, ordinal, ok := statefulset.ParseName(pod.Name)
		if !ok || name != s.set.Name || !s.state.Wants(ordinal) || metav1.IsControlledBy(pod, s.set) {
			continue
		}
		a := Answer{Reason: OwnerConflict, Object: ref(pod), Since: at(pod.CreationTimestamp.Time), Passes: No}
		a.Next = f.command("delete pod %s", pod.Name)
		selector, err := metav1.LabelSelectorAsSelector(s.set.Spec.Selector)
		owner := metav1.GetControllerOfNoCopy(pod)
		switch {
		case owner != nil && owner.Kind == "StatefulSet" && owner.Name == s.set.Name:
			a.Passes = Yes
			a.Sentence = fmt.Sprintf("pod %s belongs to an older StatefulSet %s and is about to be collected", pod.Name, owner.Name)
		case owner != nil:
			a.Sentence = fmt.Sprintf("pod %s exists and belongs to %s %s: StatefulSet %s cannot have one of that name", pod.Name, owner.Kind, owner.Name, s.set.Name)
			a.Next = f.command("get %s %s", strings.ToLower(owner.Kind), owner.Name)
		case err == nil && selector.Matches(labelSet(pod.Labels)):
			continue // it is adopted
		default:
			a.Sentence = fmt.Sprintf("pod %s exists, belongs to nobody and lacks the labels that StatefulSet %s selects", pod.Name, s.set.Name)
		}
		answers = append(answers, a)
	}
	return answers
}

// refusals are writes of the controller that the API server refuses.
func (f *Facts) refusals(s *setFacts) []Answer {
	var answers []Answer
	for _, pod := range s.state.Pods {
		name := statefulset.PodName(s.set.Name, pod.Ordinal)
		reasons := []string{}
		switch {
		case pod.Health == statefulset.Absent && s.state.Wants(pod.Ordinal):
			reasons = append(reasons, "FailedCreate")
		case pod.WrongIdentity || pod.WrongStorage:
			reasons = append(reasons, "FailedUpdate")
		default:
			continue
		}
		done := f.newest(s, "SuccessfulCreate", "Create Pod "+name+" in")
		for _, e := range f.events("StatefulSet", s.set.Name, s.set.UID, reasons...) {
			_, message, ok := strings.Cut(e.Message, " failed error: ")
			if !ok || !strings.Contains(e.Message, "Pod "+name+" in ") || last(e).Before(done) || strings.Contains(message, "already exists") {
				continue
			}
			object := "pod/" + name
			if claim, ok := between(e.Message, "Create Claim ", " for Pod"); ok {
				object = "persistentvolumeclaim/" + claim
			}
			a := Refused(f, object, message)
			a.Since = at(first(e))
			answers = append(answers, a)
			break
		}
	}
	return answers
}

// underWay is what the controller does next, unless something is known to stop it.
func (f *Facts) underWay(s *setFacts, known []Answer) []Answer {
	var answers []Answer
	for _, action := range s.plan.Actions {
		object := "pod/" + statefulset.PodName(s.set.Name, action.Ordinal)
		if action.Verb != statefulset.CreatePod && action.Verb != statefulset.DeletePod ||
			slices.ContainsFunc(known, func(a Answer) bool {
				return a.Object == object || a.Reason == QuotaExceeded || a.Reason == AdmissionRefuses
			}) {
			continue
		}
		answers = append(answers, Answer{
			Reason: ComingUp, Object: object, Passes: Yes,
			Sentence: statefulset.Explain(s.state, statefulset.Plan{Actions: []statefulset.Action{action}})[0],
			Next:     f.command("get statefulset %s --watch", s.set.Name),
		})
	}
	return answers
}

// newest is when an event of the set was last seen.
func (f *Facts) newest(s *setFacts, reason, text string) time.Time {
	for _, e := range f.events("StatefulSet", s.set.Name, s.set.UID, reason) {
		if strings.Contains(e.Message, text) {
			return last(e)
		}
	}
	return time.Time{}
}

// deadline is the condition that says that nothing has moved.
func (s *setFacts) deadline() []Answer {
	for _, c := range s.set.Status.Conditions {
		if c.Type == statefulset.ConditionProgressing && c.Status == corev1.ConditionFalse && c.Reason == statefulset.ProgressDeadlineExceeded {
			return []Answer{{
				Reason: ProgressDeadline, Object: s.object(), Since: at(c.LastTransitionTime.Time), Passes: Unknown, Follows: true,
				Sentence: fmt.Sprintf("StatefulSet %s has passed its progress deadline: %s", s.set.Name, brief(c.Message)),
			}}
		}
	}
	return nil
}
