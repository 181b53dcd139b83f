package podsync

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// restarts says whether the policies want an exited container to run again.
func (d *decision) restarts(c *corev1.Container, exited *Container, initial bool) bool {
	if IsSidecar(c) && initial || d.replaced(c.Name, exited) {
		return true
	}
	if ruleFor(c, exited.ExitCode) != nil {
		return true // all that rules can ask for is to run again, alone or with the others
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

// replaced is true for a run that ended because the pod's spec asked for
// another: no restart policy keeps that from coming.
func (d *decision) replaced(name string, exited *Container) bool {
	condemned := d.Records[name].Condemned
	return (condemned.Why == DefinitionChanged || condemned.Why == Resized) && exited.ID != "" && condemned.ID == exited.ID
}

// event is the exit that the back-off of a restart counts from. A run that the
// node ended is replaced at once unless the one before it has to wait.
func (d *decision) event(name string, exited *Container) time.Time {
	condemned := d.Records[name].Condemned
	if condemned.ID != exited.ID || condemned.ID == "" {
		return exited.FinishedAt
	}
	if previous := d.previous(name); previous != nil && previous.Phase == Exited {
		return previous.FinishedAt
	}
	return time.Time{}
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
