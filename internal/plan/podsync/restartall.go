package podsync

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Restarting all containers of a pod in place (the action RestartAllContainers of
// a container's rules) has two parts: first all containers are ended, without
// hooks or grace, and their records removed, the one that asked for it last;
// then the pod begins as a new one would, in the sandbox that it has. The
// condition AllContainersRestarting is true during the first part, so an agent
// that was away goes on with it.

const (
	reasonRestartingAll  = "RestartAllContainersStarted"
	messageRestartingAll = "container exited with restart policy rule"
)

// ruleFor is the first of a container's rules that an exit matches, nil for none.
func ruleFor(c *corev1.Container, code int32) *corev1.ContainerRestartRule {
	for i := range c.RestartPolicyRules {
		if matches(c.RestartPolicyRules[i].ExitCodes, code) {
			return &c.RestartPolicyRules[i]
		}
	}
	return nil
}

// asksForAll is true when this exit of the container restarts all of the pod.
func asksForAll(c *corev1.Container, code int32) bool {
	rule := ruleFor(c, code)
	return rule != nil && rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers
}

// couldRestartAll is true for a pod with such a rule.
func (d *decision) couldRestartAll() bool {
	for _, list := range [][]corev1.Container{d.Pod.Spec.InitContainers, d.Pod.Spec.Containers} {
		for i := range list {
			if slices.ContainsFunc(list[i].RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
				return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
			}) {
				return true
			}
		}
	}
	return false
}

// restartsAll is true while all containers are ended to begin again.
func (d *decision) restartsAll() bool {
	if !d.couldRestartAll() {
		return false
	}
	if c := condition(d.known().Conditions, corev1.AllContainersRestarting); c != nil && c.Status == corev1.ConditionTrue {
		return len(d.own()) > 0
	}
	return d.source() != ""
}

// source is the container that asks for it. Sidecars of a pod that is done are
// asked to stop: how they end means nothing any more.
func (d *decision) source() string {
	for i := range d.Pod.Spec.Containers {
		if c := &d.Pod.Spec.Containers[i]; d.asked(c) {
			return c.Name
		}
	}
	for i := range d.Pod.Spec.InitContainers {
		if c := &d.Pod.Spec.InitContainers[i]; d.asked(c) && (!IsSidecar(c) || !d.afterAll(c)) {
			return c.Name
		}
	}
	return ""
}

func (d *decision) asked(c *corev1.Container) bool {
	cur := d.latest[c.Name]
	return cur != nil && cur.Phase == Exited && asksForAll(c, cur.ExitCode)
}

// afterAll is true for a sidecar that ended when the regular containers had ended
// for good, as it was asked to.
func (d *decision) afterAll(c *corev1.Container) bool {
	if !d.finishing() {
		return false
	}
	for i := range d.Pod.Spec.Containers {
		if ended := d.latest[d.Pod.Spec.Containers[i].Name]; d.latest[c.Name].FinishedAt.Before(ended.FinishedAt) {
			return false
		}
	}
	return true
}

// own are the records of the pod's containers but for ephemeral ones, which run once.
func (d *decision) own() []*Container {
	var out []*Container
	for i := range d.Containers {
		c := &d.Containers[i]
		if !slices.ContainsFunc(d.Pod.Spec.EphemeralContainers, func(e corev1.EphemeralContainer) bool { return e.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out
}

// reset ends all containers, then removes their records.
func (d *decision) reset() {
	quiet := d.Busy.Start == ""
	for _, c := range d.own() {
		_, stopping := d.Busy.Stops[c.ID]
		if c.Phase == Running {
			d.stop(c, leastGrace, RestartingAll, "")
		}
		quiet = quiet && c.Phase != Running && !stopping
	}
	if !quiet {
		return
	}
	source, last := d.source(), false
	for _, c := range d.own() {
		last = last || c.Name != source
	}
	for _, c := range d.own() {
		if last && c.Name == source || d.Busy.Removes[c.ID] || d.waits(c.ID) {
			continue
		}
		d.do(Action{Kind: RemoveContainer, Why: RestartingAll, Container: c.Name, ID: c.ID})
	}
}

// rerun shows a container whose record was removed to begin again.
func rerun(st *corev1.ContainerStatus, ended *corev1.ContainerStateTerminated) {
	st.RestartCount++
	st.LastTerminationState.Terminated = ended
}

// beginsAgain is true until each regular container has been made once more.
func (d *decision) beginsAgain() bool {
	if !d.couldRestartAll() || d.plan.Ending {
		return false
	}
	for i := range d.Pod.Spec.Containers {
		if d.latest[d.Pod.Spec.Containers[i].Name] == nil {
			return true
		}
	}
	return d.restartsAll()
}

// askedBefore is when the container ended last, if it asked for all to restart:
// it waits before it runs again, so that it cannot keep the node busy.
func (d *decision) askedBefore(c *corev1.Container) time.Time {
	if !d.couldRestartAll() {
		return time.Time{}
	}
	for _, list := range [][]corev1.ContainerStatus{d.known().InitContainerStatuses, d.known().ContainerStatuses} {
		if st := find(list, c.Name); st != nil {
			for _, ended := range []*corev1.ContainerStateTerminated{st.State.Terminated, st.LastTerminationState.Terminated} {
				if ended != nil {
					if asksForAll(c, ended.ExitCode) {
						return ended.FinishedAt.Time
					}
					return time.Time{}
				}
			}
		}
	}
	return time.Time{}
}

// restartingAll is the condition of a pod that could restart as a whole.
func (d *decision) restartingAll(phase corev1.PodPhase) corev1.PodCondition {
	switch {
	case phase == corev1.PodSucceeded:
		return falseBecause(reasonPodCompleted, "")
	case phase == corev1.PodFailed:
		return falseBecause(reasonPodFailed, "")
	case d.plan.Ending || !d.restartsAll():
		return corev1.PodCondition{Status: corev1.ConditionFalse}
	}
	return corev1.PodCondition{Status: corev1.ConditionTrue, Reason: reasonRestartingAll, Message: messageRestartingAll}
}
