package statefulset

import (
	"cmp"
	"slices"
)

// turns returns the pods in the order in which a rollout takes them.
func (s State) turns(slots []Pod) []Pod {
	queue := slices.Clone(slots)
	slices.SortFunc(queue, func(a, b Pod) int {
		if s.Order.Ascending {
			return cmp.Compare(a.Ordinal, b.Ordinal)
		}
		return cmp.Or(cmp.Compare(a.Turn, b.Turn), cmp.Compare(b.Ordinal, a.Ordinal))
	})
	return queue
}

// early reports whether it is too early for a pod: those of an earlier turn are
// all updated and every pod is available before the first of a later one goes.
func (s State) early(before []Pod, pod Pod, unavailable bool) bool {
	if pod.Turn == 0 {
		return false
	}
	return unavailable || slices.ContainsFunc(before, func(b Pod) bool { return b.Turn < pod.Turn && b.old(s) })
}
