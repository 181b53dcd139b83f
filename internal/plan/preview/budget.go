package preview

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// budget is a PodDisruptionBudget that the set's pods fall under, with what
// others under it are worth.
type budget struct {
	name            string
	desired         int // healthy pods
	others, healthy int // pods that are not the set's, and those of them that are ready
}

func (f SetFacts) budgets() []budget {
	mine := map[string]bool{}
	for _, pod := range f.mine() {
		mine[pod.Name] = true
	}
	replicas := 1
	if r := f.After.Spec.Replicas; r != nil {
		replicas = int(*r)
	}
	var all []budget
	for _, pdb := range f.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err != nil || selector.Empty() || !selector.Matches(labelSet(f.After.Spec.Template.Labels)) {
			continue
		}
		b := budget{name: pdb.Name}
		for _, pod := range f.Pods {
			if mine[pod.Name] || !selector.Matches(labelSet(pod.Labels)) {
				continue
			}
			b.others++
			if ready(pod) {
				b.healthy++
			}
		}
		b.desired = desired(pdb, replicas+b.others)
		all = append(all, b)
	}
	return all
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// desired is how many healthy pods a budget wants of so many.
func desired(pdb *policyv1.PodDisruptionBudget, expected int) int {
	if m := pdb.Spec.MinAvailable; m != nil {
		n, _ := intstr.GetScaledValueFromIntOrPercent(m, expected, true)
		return n
	}
	if m := pdb.Spec.MaxUnavailable; m != nil {
		n, _ := intstr.GetScaledValueFromIntOrPercent(m, expected, true)
		return max(expected-n, 0)
	}
	return 0
}

// allow brings the planner's budgets up to what they would allow now.
func (w *world) allow() {
	healthy := w.available()
	for i := range w.state.Budgets {
		b := &w.state.Budgets[i]
		j := slices.IndexFunc(w.budgets, func(mine budget) bool { return mine.name == b.Name })
		if j < 0 {
			continue
		}
		b.Allowed = max(healthy+w.budgets[j].healthy-w.budgets[j].desired, 0)
		b.Covers = b.Covers[:0]
		for _, pod := range w.state.Pods {
			b.Covers = append(b.Covers, pod.Ordinal)
		}
	}
}

// judge counts what is down after a step.
func (w *world) judge(step int) {
	down, healthy := 0, 0
	for _, pod := range w.state.Pods {
		if up(pod) {
			healthy++
		} else if w.were[pod.Ordinal] && w.state.Wants(pod.Ordinal) {
			down++
		}
	}
	w.worst = max(w.worst, down)
	for _, b := range w.budgets {
		if w.below == "" && down > 0 && healthy+b.healthy < b.desired {
			w.below = fmt.Sprintf("%d of %s down at a time, below PodDisruptionBudget %s at step %d: it wants %d healthy, %d are",
				down, count(w.existed, "pod"), b.name, step, b.desired, healthy+b.healthy)
			if !w.state.RespectBudgets {
				w.below += " (a rollout is not held by it; the annotation " + options.RespectPDB + " lets it)"
			}
		}
	}
}
