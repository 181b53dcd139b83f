package statefulset

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// DisruptionBudget is what a PodDisruptionBudget allows at this moment.
type DisruptionBudget struct {
	Name string
	// Allowed is how many of its pods may go now; none while it is not computed.
	Allowed int
	// Covers are the ordinals that it protects.
	Covers []int
}

// observeBudgets reads the budgets that protect pods of the set.
func observeBudgets(f Facts) []DisruptionBudget {
	var all []DisruptionBudget
	for _, pdb := range f.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err != nil {
			continue
		}
		b := DisruptionBudget{Name: pdb.Name}
		for _, pod := range f.Pods {
			if _, ordinal, ok := ParseName(pod.Name); ok && selector.Matches(labels.Set(pod.Labels)) {
				b.Covers = append(b.Covers, ordinal)
			}
		}
		if len(b.Covers) == 0 {
			continue
		}
		slices.Sort(b.Covers)
		status := &pdb.Status
		if status.ObservedGeneration >= pdb.Generation {
			b.Allowed = max(int(status.DisruptionsAllowed), 0)
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b DisruptionBudget) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// allowance is what is left of the budgets while a plan is made.
type allowance struct {
	budgets []DisruptionBudget
	spent   []int
}

func (s State) allowance() *allowance {
	if !s.RespectBudgets {
		return &allowance{}
	}
	return &allowance{budgets: s.Budgets, spent: make([]int, len(s.Budgets))}
}

// take reports whether every budget lets the pod go, and counts it; refused names
// the first that does not. A pod that is not ready is no loss to a budget. Eviction
// may refuse it all the same, to give it a chance; but to replace it by what may
// work is why there is a rollout, so it is not evicted.
func (a *allowance) take(pod Pod) (refused string) {
	if pod.Health < Ready || pod.Terminating {
		return ""
	}
	var paid []int
	for i, b := range a.budgets {
		if _, covered := slices.BinarySearch(b.Covers, pod.Ordinal); !covered {
			continue
		}
		if b.Allowed <= a.spent[i] {
			return b.Name
		}
		paid = append(paid, i)
	}
	for _, i := range paid {
		a.spent[i]++
	}
	return ""
}

// take deletes a pod that the budgets let go: one that works by eviction, which
// asks them once more; another only as long as it is as it was seen.
func (s State) take(pod Pod, why Why) Action {
	works := pod.Health >= Ready
	return Action{
		Verb: DeletePod, Ordinal: pod.Ordinal, UID: pod.UID, Why: why,
		Evict: s.RespectBudgets && works, Exact: s.RespectBudgets && !works,
	}
}
