package podsync

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// restarts says whether the policies want an exited container to run again.
func (d *decision) restarts(c *corev1.Container, exited *Container, initial bool) bool {
	if IsSidecar(c) && initial {
		return true
	}
	for _, rule := range c.RestartPolicyRules {
		if rule.Action == corev1.ContainerRestartRuleActionRestart && matches(rule.ExitCodes, exited.ExitCode) {
			return true
		}
	}
	if c.RestartPolicy != nil {
		switch *c.RestartPolicy {
		case corev1.ContainerRestartPolicyAlways:
			return true
		case corev1.ContainerRestartPolicyNever:
			return false
		case corev1.ContainerRestartPolicyOnFailure:
			return exited.ExitCode != 0
		}
	}
	switch d.Pod.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return exited.ExitCode != 0
	default:
		return !initial || exited.ExitCode != 0
	}
}

func matches(codes *corev1.ContainerRestartRuleOnExitCodes, code int32) bool {
	if codes == nil {
		return false
	}
	in := slices.Contains(codes.Values, code)
	switch codes.Operator {
	case corev1.ContainerRestartRuleOnExitCodesOpIn:
		return in
	case corev1.ContainerRestartRuleOnExitCodesOpNotIn:
		return !in
	default:
		return false
	}
}
