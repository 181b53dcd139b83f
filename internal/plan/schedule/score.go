package schedule

import (
	"math"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/toleration"
)

// Weights of upstream's default profile.
const (
	weightLeast    = 1
	weightBalanced = 1
	weightAffinity = 2
	weightTaint    = 3
	top            = 100
)

// best is the candidate with the highest score; with equal scores the one
// with fewer pods, then the first by name.
func (r *request) best(fits []candidate) candidate {
	affinity := make([]int64, len(fits))
	taints := make([]int64, len(fits))
	for i := range fits {
		node := fits[i].room.node
		if r.preferred != nil {
			affinity[i] = r.preferred.Score(node)
		}
		taints[i] = dispreferred(r.state.Pod.Spec.Tolerations, node.Spec.Taints)
	}
	normalize(affinity, false)
	normalize(taints, true)
	winner, high := 0, int64(-1)
	for i := range fits {
		n := fits[i].room
		score := weightLeast*r.least(n) + weightBalanced*r.balanced(n) + weightAffinity*affinity[i] + weightTaint*taints[i]
		if score > high || (score == high && before(n, fits[winner].room)) {
			winner, high = i, score
		}
	}
	return fits[winner]
}

func before(a, b *room) bool {
	if a.pods != b.pods {
		return a.pods < b.pods
	}
	return a.node.Name < b.node.Name
}

// least favours nodes with much left.
func (r *request) least(n *room) int64 {
	cpu, mem := n.node.Status.Allocatable.Cpu().MilliValue(), n.node.Status.Allocatable.Memory().Value()
	return (left(n.cpu+r.cpu, cpu) + left(n.mem+r.mem, mem)) / 2
}

func left(used, have int64) int64 {
	if have <= 0 || used > have {
		return 0
	}
	return (have - used) * top / have
}

// balanced favours nodes whose processor and memory fill up evenly.
func (r *request) balanced(n *room) int64 {
	allocatable := n.node.Status.Allocatable
	used := func(name corev1.ResourceName, own int64, milli bool) float64 {
		q, taken := allocatable[name], n.used[name]
		have, sum := q.Value(), taken.Value()
		if milli {
			have, sum = q.MilliValue(), taken.MilliValue()
		}
		if have <= 0 {
			return 0
		}
		return math.Min(float64(sum+own)/float64(have), 1)
	}
	cpu := used(corev1.ResourceCPU, r.resources.Cpu().MilliValue(), true)
	mem := used(corev1.ResourceMemory, r.resources.Memory().Value(), false)
	return int64((1 - math.Abs(cpu-mem)/2) * top)
}

// dispreferred counts the PreferNoSchedule taints that the pod does not tolerate.
func dispreferred(tolerations []corev1.Toleration, taints []corev1.Taint) int64 {
	var count int64
	for i := range taints {
		if taints[i].Effect == corev1.TaintEffectPreferNoSchedule && !toleration.Any(tolerations, &taints[i]) {
			count++
		}
	}
	return count
}

// normalize stretches the numbers to 0..top; reverse makes few the best.
func normalize(scores []int64, reverse bool) {
	var highest int64
	for _, s := range scores {
		highest = max(highest, s)
	}
	for i := range scores {
		if highest > 0 {
			scores[i] = scores[i] * top / highest
		}
		if reverse {
			scores[i] = top - scores[i]
		}
	}
}
