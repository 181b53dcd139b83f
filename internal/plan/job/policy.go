package job

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// judgement is what the pod failure policy says of one failed pod.
type judgement struct {
	Action batchv1.PodFailurePolicyAction // "" when no rule is about it
	// Ends is why the job fails, for FailJob.
	Ends string
}

// ignored: the failure does not count.
func (j judgement) ignored() bool { return j.Action == batchv1.PodFailurePolicyActionIgnore }

// judge applies the first rule that is about the pod.
func judge(policy *batchv1.PodFailurePolicy, pod *corev1.Pod) judgement {
	if policy == nil {
		return judgement{}
	}
	for i, rule := range policy.Rules {
		what := ""
		switch {
		case rule.OnExitCodes != nil:
			if status := exited(pod, rule.OnExitCodes); status != nil {
				what = fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v matching %v rule at index %d",
					status.Name, pod.Namespace, pod.Name, status.State.Terminated.ExitCode, rule.Action, i)
			}
		case rule.OnPodConditions != nil:
			if condition := conditioned(pod, rule.OnPodConditions); condition != nil {
				what = fmt.Sprintf("Pod %s/%s has condition %v matching %v rule at index %d",
					pod.Namespace, pod.Name, condition.Type, rule.Action, i)
			}
		}
		if what == "" {
			continue
		}
		switch rule.Action {
		case batchv1.PodFailurePolicyActionFailJob:
			return judgement{rule.Action, what}
		case batchv1.PodFailurePolicyActionIgnore, batchv1.PodFailurePolicyActionFailIndex, batchv1.PodFailurePolicyActionCount:
			return judgement{Action: rule.Action}
		}
	}
	return judgement{}
}

// exited finds a container that has failed with an exit code the rule is about.
func exited(pod *corev1.Pod, rule *batchv1.PodFailurePolicyOnExitCodesRequirement) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			end := list[i].State.Terminated
			if end == nil || end.ExitCode == 0 || ptr.Deref(rule.ContainerName, list[i].Name) != list[i].Name {
				continue
			}
			listed := slices.Contains(rule.Values, end.ExitCode)
			if listed && rule.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn || !listed && rule.Operator == batchv1.PodFailurePolicyOnExitCodesOpNotIn {
				return &list[i]
			}
		}
	}
	return nil
}

func conditioned(pod *corev1.Pod, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if slices.ContainsFunc(patterns, func(p batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
			return p.Type == c.Type && p.Status == c.Status
		}) {
			return c
		}
	}
	return nil
}

// enough says by which rule of the success policy the job has succeeded.
func enough(policy *batchv1.SuccessPolicy, completions int, done Indexes) (message string, met bool) {
	if policy == nil || len(done) == 0 {
		return "", false
	}
	for i, rule := range policy.Rules {
		met := false
		if rule.SucceededIndexes != nil {
			wanted := ParseIndexes(*rule.SucceededIndexes, completions)
			have := done.common(wanted)
			met = len(wanted) > 0 && (have == wanted.Total() || rule.SucceededCount != nil && have >= int(*rule.SucceededCount))
		} else {
			met = rule.SucceededCount != nil && done.Total() >= int(*rule.SucceededCount)
		}
		if met {
			return fmt.Sprintf("Matched rules at index %d", i), true
		}
	}
	return "", false
}
