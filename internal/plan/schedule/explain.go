package schedule

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	preemptionUseless = "Preemption is not helpful for scheduling"
	preemptionEmpty   = "No preemption victims found for incoming pod"
	preemptionNever   = "not eligible due to preemptionPolicy=Never."
)

// sentence is upstream's account of a pod that fits nowhere. all is the reason
// that holds for every node before any was looked at.
func sentence(nodes int, all string, refusals []Refusal, pod *corev1.Pod) string {
	text := fmt.Sprintf("0/%d nodes are available:", nodes)
	if all != "" {
		text += " " + all + "."
	} else {
		var reasons []string
		for _, r := range refusals {
			reasons = append(reasons, r.Reasons...)
		}
		text += " " + histogram(reasons) + "."
	}
	return text + " no new claims to deallocate, preemption: " + preemption(nodes, refusals, pod)
}

// preemption says why nobody is moved out of the way.
func preemption(nodes int, refusals []Refusal, pod *corev1.Pod) string {
	if p := pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		return preemptionNever
	}
	reasons := make([]string, 0, len(refusals))
	for _, r := range refusals {
		if r.Final {
			reasons = append(reasons, preemptionUseless)
		} else {
			reasons = append(reasons, preemptionEmpty)
		}
	}
	return fmt.Sprintf("0/%d nodes are available: %s.", nodes, histogram(reasons))
}

// histogram is "2 reason, 1 other", sorted as text.
func histogram(reasons []string) string {
	count := map[string]int{}
	for _, r := range reasons {
		count[r]++
	}
	parts := make([]string, 0, len(count))
	for r, n := range count {
		parts = append(parts, fmt.Sprintf("%d %s", n, r))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
