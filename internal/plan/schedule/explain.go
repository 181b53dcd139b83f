package schedule

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	preemptionUseless  = "Preemption is not helpful for scheduling"
	preemptionEmpty    = "No preemption victims found for incoming pod"
	preemptionNever    = "not eligible due to preemptionPolicy=Never."
	preemptionUnderWay = "not eligible due to a terminating pod on the nominated node."
)

// sentence is upstream's account of a pod that fits nowhere: why not, and why
// nobody is moved out of the way, if so.
func sentence(nodes int, why, preemption string) string {
	return fmt.Sprintf("0/%d nodes are available:%s%s", nodes, why, preemption)
}

// postFilter is the end of the sentence: what was tried for a pod that fits nowhere.
func postFilter(preemption string) string {
	return " no new claims to deallocate, preemption: " + preemption
}

// refusalsText counts the reasons of all nodes.
func refusalsText(refusals []Refusal) string {
	count := map[string]int{}
	for i := range refusals {
		for _, reason := range refusals[i].Reasons {
			count[reason]++
		}
	}
	return " " + histogram(count) + "."
}

// preemption says why nobody is moved out of the way.
func preemption(nodes int, reasons string, pod *corev1.Pod) string {
	if p := pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		return preemptionNever
	}
	return fmt.Sprintf("0/%d nodes are available: %s.", nodes, reasons)
}

// histogram is "2 reason, 1 other", sorted as text.
func histogram(count map[string]int) string {
	parts := make([]string, 0, len(count))
	for r, n := range count {
		parts = append(parts, fmt.Sprintf("%d %s", n, r))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
