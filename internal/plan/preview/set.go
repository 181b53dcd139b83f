package preview

import (
	"cmp"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
	"berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/plan/statefulset/override"
)

// SetFacts are the objects that a StatefulSet's preview is made from.
type SetFacts struct {
	// Before is the set as it is, nil when it is new.
	Before *appsv1.StatefulSet
	// After is the set as the API server would store it.
	After *appsv1.StatefulSet
	// Of the namespace; what is not the set's is left alone.
	Pods      []*corev1.Pod
	Claims    []*corev1.PersistentVolumeClaim
	Revisions []*appsv1.ControllerRevision
	Budgets   []*policyv1.PodDisruptionBudget
	Classes   []*storagev1.StorageClass
	// Overrides is the ConfigMap that After takes patches from, nil when there
	// is none.
	Overrides *corev1.ConfigMap
	// Defaults fills what the API server fills in a template; may be nil.
	Defaults func(*corev1.PodTemplateSpec)
	Rules    statefulset.Rules
	Now      time.Time
}

// Set fills in steps, notes and warnings.
func Set(f SetFacts, r *Result) error {
	state, err := f.state()
	if err != nil {
		return err
	}
	w := newWorld(state, f)
	r.Steps, r.End = w.run()
	r.Notes = append(r.Notes, f.notes(w)...)
	r.Warnings = append(r.Warnings, f.warnings(w)...)
	return nil
}

// state is what the planner would see right after the change.
func (f SetFacts) state() (statefulset.State, error) {
	current, update, err := f.revisions()
	if err != nil {
		return statefulset.State{}, err
	}
	overrides, problem := f.overrides()
	return statefulset.Observe(statefulset.Facts{
		Overrides: overrides, OverridesError: problem,
		Template: func(name string) *corev1.PodTemplateSpec {
			if name == update {
				return &f.After.Spec.Template
			}
			return revision.TemplateOf(f.Revisions, name)
		},
		Set: f.After, Pods: f.mine(), Budgets: f.Budgets, Current: current, Update: update, Now: f.Now,
		Claim: func(name string) *corev1.PersistentVolumeClaim {
			for _, c := range f.Claims {
				if c.Name == name {
					return c
				}
			}
			return nil
		},
	}), nil
}

// overrides are the patches that the set asks for.
func (f SetFacts) overrides() (override.Set, string) {
	asked, _ := options.Parse(f.After.Annotations)
	if asked.Overrides == "" {
		return override.Set{}, ""
	}
	return override.Read(asked.Overrides, f.Overrides)
}

// mine are the pods that the set controls, or would adopt when it is new.
func (f SetFacts) mine() []*corev1.Pod {
	selector, err := metav1.LabelSelectorAsSelector(f.After.Spec.Selector)
	if err != nil {
		return nil
	}
	var pods []*corev1.Pod
	for _, pod := range f.Pods {
		owner := metav1.GetControllerOfNoCopy(pod)
		orphan := owner == nil && pod.DeletionTimestamp == nil && selector.Matches(labelSet(pod.Labels)) && statefulset.Member(f.After, pod.Name)
		if orphan || f.Before != nil && metav1.IsControlledBy(pod, f.Before) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// revisions are the names that the controller would find or make.
func (f SetFacts) revisions() (current, update string, err error) {
	var existing []*appsv1.ControllerRevision
	for _, rev := range f.Revisions {
		if f.Before != nil && metav1.IsControlledBy(rev, f.Before) {
			existing = append(existing, rev)
		}
	}
	revision.Sort(existing)
	want, err := revision.New(f.After, statefulset.SetRef(f.After), &f.After.Spec.Template, 0, ptr.Deref(f.After.Status.CollisionCount, 0))
	if err != nil {
		return "", "", err
	}
	update = revision.Decide(want, existing, f.Defaults).Update.Name
	return cmp.Or(f.After.Status.CurrentRevision, update), update, nil
}

// notes are what is worth knowing.
func (f SetFacts) notes(w *world) []string {
	var notes []string
	if w.worst > 0 && w.below == "" {
		notes = append(notes, fmt.Sprintf("%d of %s down at a time", w.worst, count(w.existed, "pod")))
	}
	for _, g := range f.growth() {
		notes = append(notes, fmt.Sprintf("claims %s grow %s to %s", g.name, g.from.String(), g.to.String()))
	}
	if len(w.made) > 0 {
		notes = append(notes, "new pods are taken to become ready; an image that is not there or a program that fails is seen only when it runs")
	}
	return notes
}

// warnings are what may be regretted.
func (f SetFacts) warnings(w *world) []string {
	var warnings []string
	if w.below != "" {
		warnings = append(warnings, w.below)
	}
	for _, name := range w.collected {
		warnings = append(warnings, fmt.Sprintf("claim %s is deleted with its pod, and its data with it (persistentVolumeClaimRetentionPolicy)", name))
	}
	for _, g := range f.growth() {
		if !g.allowed {
			warnings = append(warnings, fmt.Sprintf("claims %s cannot grow: StorageClass %q does not allow it (allowVolumeExpansion)", g.name, g.class))
		}
	}
	if len(f.mine()) > 0 && w.state.Replicas == 0 {
		warnings = append(warnings, "the set is left without pods")
	}
	return append(warnings, w.stuck...)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
