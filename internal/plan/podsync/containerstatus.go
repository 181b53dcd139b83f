package podsync

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// containerStatus describes one container. before is its status so far.
func (d *decision) containerStatus(c *corev1.Container, before *corev1.ContainerStatus) corev1.ContainerStatus {
	st := corev1.ContainerStatus{Name: c.Name, Image: c.Image}
	d.describeSpec(c, &st)
	cur, previous := d.latest[c.Name], d.previous(c.Name)
	if cur != nil && cur.Phase == Created {
		// Created but not running yet: still waiting, as before it was made.
		cur, previous = previous, nil
		if cur != nil {
			st.RestartCount = cur.Attempt
		}
	}
	if cur == nil {
		d.unseen(&st, before)
	} else {
		d.seen(&st, cur, previous)
		if before != nil && previous == nil && st.LastTerminationState.Terminated == nil && d.couldRestartAll() {
			// The record of the run before was removed.
			st.LastTerminationState = before.LastTerminationState
		}
	}
	d.waiting(c, &st, cur)
	return st
}

// previous is the run before the latest one.
func (d *decision) previous(name string) *Container {
	n := 0
	for i := range d.Containers {
		if d.Containers[i].Name != name {
			continue
		}
		if n++; n == 2 {
			return &d.Containers[i]
		}
	}
	return nil
}

// seen describes a container from the runtime's records.
func (d *decision) seen(st *corev1.ContainerStatus, cur, previous *Container) {
	st.RestartCount = cur.Attempt
	st.ContainerID = d.containerID(cur.ID)
	st.Image, st.ImageID = cur.Image, cur.ImageID
	if cur.Phase == Running {
		st.State.Running = &corev1.ContainerStateRunning{StartedAt: stamp(cur.StartedAt)}
		st.User = cur.User
		if cur.Resources != nil {
			st.Resources = cur.Resources.DeepCopy()
		}
	} else {
		st.State.Terminated = d.terminated(cur)
	}
	if previous != nil && previous.Phase == Exited {
		st.LastTerminationState.Terminated = d.terminated(previous)
	}
}

// unseen describes a container that the runtime does not know.
func (d *decision) unseen(st *corev1.ContainerStatus, before *corev1.ContainerStatus) {
	st.State.Waiting = &corev1.ContainerStateWaiting{Reason: ContainerCreating}
	if len(d.Pod.Spec.InitContainers) > 0 {
		st.State.Waiting.Reason = PodInitializing
	}
	if before != nil {
		st.RestartCount = before.RestartCount
		st.LastTerminationState = before.LastTerminationState
		switch {
		case before.State.Terminated != nil && d.couldRestartAll() && !d.plan.Ending:
			rerun(st, before.State.Terminated)
			return
		case before.State.Terminated != nil:
			st.State = before.State
			st.ContainerID, st.Image, st.ImageID = before.ContainerID, before.Image, before.ImageID
			return
		case before.State.Running != nil && !d.plan.Ending:
			st.RestartCount++
			st.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
				Reason: ContainerStatusUnknown, Message: messageLostOnNode, ExitCode: 137,
			}
			return
		}
	}
	if d.plan.Ending && d.allQuiet() && before != nil && d.gotThrough(st.Name) {
		st.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: ContainerStatusUnknown, Message: messageLost, ExitCode: 137,
		}}
	}
}

// gotThrough is true for a regular container of a pod whose init containers
// have all succeeded: that it does not exist is a failure then.
func (d *decision) gotThrough(name string) bool {
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		cur := d.latest[c.Name]
		if c.Name == name || cur == nil || !IsSidecar(c) && (cur.Phase != Exited || cur.ExitCode != 0) {
			return false
		}
	}
	return true
}

// waiting shows why a container that should run does not.
func (d *decision) waiting(c *corev1.Container, st *corev1.ContainerStatus, cur *Container) {
	if d.plan.Ending || st.State.Running != nil {
		return
	}
	reason, message := "", ""
	for _, hold := range d.plan.Holds {
		if hold.Container == c.Name {
			reason, message = hold.Reason, hold.Message
		}
	}
	if f := d.Records[c.Name].Of(c).Failure; reason == "" && f != nil && d.Busy.Start == c.Name {
		reason, message = f.Reason, f.Message // being tried again
	}
	if reason == "" {
		return
	}
	if cur != nil && cur.Phase == Exited {
		st.LastTerminationState.Terminated = d.terminated(cur)
	}
	st.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func (d *decision) terminated(c *Container) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{
		ExitCode: c.ExitCode, Reason: c.Reason, Message: c.Message,
		StartedAt: stamp(c.StartedAt), FinishedAt: stamp(c.FinishedAt),
		ContainerID: d.containerID(c.ID),
	}
}

func (d *decision) containerID(id string) string { return d.Node.Runtime + "://" + id }

func stamp(t time.Time) metav1.Time {
	if t.IsZero() || t.Unix() <= 0 {
		return metav1.NewTime(time.Unix(0, 0)) // upstream's zero
	}
	return metav1.NewTime(t).Rfc3339Copy()
}

// describeSpec adds what follows from the spec alone.
func (d *decision) describeSpec(c *corev1.Container, st *corev1.ContainerStatus) {
	st.Resources = c.Resources.DeepCopy()
	st.AllocatedResources = c.Resources.Requests.DeepCopy()
	for _, m := range c.VolumeMounts {
		vm := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if d.Node.RecursiveReadOnly && m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != mode {
				mode = corev1.RecursiveReadOnlyEnabled
			}
			vm.RecursiveReadOnly = &mode
		}
		st.VolumeMounts = append(st.VolumeMounts, vm)
	}
}
