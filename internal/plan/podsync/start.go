package podsync

import (
	"cmp"
	"fmt"
	"time"

	"berth.dev/berth/internal/plan/probe"
	corev1 "k8s.io/api/core/v1"
)

// IsSidecar is true for an init container that runs beside the regular ones.
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// initialize runs the init containers; true means that regular containers may run.
func (d *decision) initialize() bool {
	begun := false
	for i := range d.Pod.Spec.Containers {
		begun = begun || d.current[d.Pod.Spec.Containers[i].Name] != nil
	}
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		sidecar := IsSidecar(c)
		switch {
		case begun && !sidecar:
			continue
		case begun:
			if !d.finishing() {
				d.keep(c, true)
			}
			continue
		}
		cur := d.current[c.Name]
		if !sidecar && cur != nil && cur.Phase == Exited && cur.ExitCode == 0 {
			continue
		}
		if !sidecar && cur != nil && cur.Phase == Exited && !d.restarts(c, cur, true) {
			d.stopSidecars(d.grace(), PodFinished)
			return false
		}
		d.keep(c, true)
		if !sidecar || !d.hasStarted(c) {
			return false
		}
	}
	return true
}

// hasStarted is true for a running sidecar whose successor may begin.
func (d *decision) hasStarted(c *corev1.Container) bool {
	cur := d.current[c.Name]
	if cur == nil || cur.Phase != Running || d.Busy.Start == c.Name {
		return false
	}
	return c.StartupProbe == nil || d.Probes[cur.ID].Startup == probe.Success
}

// finishing is true when every regular container has ended for good.
func (d *decision) finishing() bool {
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		cur := d.current[c.Name]
		if cur == nil {
			cur = d.latest[c.Name]
		}
		if cur == nil || cur.Phase != Exited || d.restarts(c, cur, false) {
			return false
		}
	}
	return true
}

func (d *decision) keepRegular() {
	if d.finishing() {
		d.stopSidecars(d.grace(), PodFinished)
		return
	}
	for i := range d.Pod.Spec.Containers {
		d.keep(&d.Pod.Spec.Containers[i], false)
	}
}

// startEphemeral starts each debugging container once.
func (d *decision) startEphemeral() {
	for i := range d.Pod.Spec.EphemeralContainers {
		c := corev1.Container(d.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if d.latest[c.Name] == nil {
			d.start(&c, NeverStarted, 0, time.Time{})
		}
	}
}

// keep starts, restarts or condemns one container as its state asks for.
func (d *decision) keep(c *corev1.Container, initial bool) {
	cur, why := d.current[c.Name], Restart
	if cur == nil {
		cur, why = d.latest[c.Name], SandboxDied
	}
	switch {
	case cur == nil:
		d.start(c, NeverStarted, d.nextAttempt(c.Name), d.askedBefore(c))
	case cur.Phase == Created:
		if d.Busy.Start != c.Name && !d.Busy.Removes[cur.ID] && !d.waits(cur.ID) {
			d.do(Action{Kind: RemoveContainer, Why: NeverRan, Container: c.Name, ID: cur.ID})
		}
	case cur.Phase == Running:
		if why == Restart {
			d.condemn(c, cur)
			d.resize(c, cur)
		}
	case why == SandboxDied && initial && !IsSidecar(c):
		// A new sandbox means that initialization begins again.
		d.start(c, why, cur.Attempt+1, time.Time{})
	case d.restarts(c, cur, initial):
		d.start(c, why, cur.Attempt+1, d.event(c.Name, cur))
	}
}

// nextAttempt counts on from the status when the runtime lost its records.
func (d *decision) nextAttempt(name string) int32 {
	for _, list := range [][]corev1.ContainerStatus{d.known().ContainerStatuses, d.known().InitContainerStatuses} {
		for i := range list {
			if list[i].Name != name {
				continue
			}
			if list[i].State.Running != nil || list[i].State.Terminated != nil && list[i].ContainerID != "" {
				return list[i].RestartCount + 1
			}
			return list[i].RestartCount
		}
	}
	return 0
}

// start asks for one container unless it has to wait. event is the exit that
// a restart follows, zero for a first start.
func (d *decision) start(c *corev1.Container, why Why, attempt int32, event time.Time) {
	if d.Busy.Start == c.Name {
		return
	}
	record := d.Records[c.Name].Of(c)
	if f := record.Failure; f != nil && f.Retry.After(d.Now) {
		d.holdFailure(c, f)
		return
	}
	crash := record.Crash
	if !event.IsZero() {
		// An exit in the future means that the clock went back: who knows how long
		// it has been.
		if until := record.Crash.Until(event); until.After(d.Now) && !event.After(d.Now) {
			d.plan.Holds = append(d.plan.Holds, Hold{
				Container: c.Name, Reason: CrashLoopBackOff, Until: until,
				Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", record.Crash.Delay, c.Name, PodName(d.Pod)),
			})
			d.again(until)
			return
		}
		crash = record.Crash.Next(event, d.Now)
	}
	if d.Busy.Start != "" || d.starting {
		return
	}
	d.starting = true
	d.do(Action{Kind: StartContainer, Why: why, Container: c.Name, Attempt: attempt, Crash: crash})
}

func (d *decision) holdFailure(c *corev1.Container, f *Failure) {
	hold := Hold{Container: c.Name, Reason: f.Reason, Message: f.Message, Image: cmp.Or(f.Image, c.Image), Until: f.Retry}
	if f.Reason == ErrImagePull {
		if shown := f.At.Add(pullShown); d.Now.Before(shown) {
			d.again(shown)
		} else {
			hold.Reason = ImagePullBackOff
			hold.Message = fmt.Sprintf("Back-off pulling image %q: %s: %s", hold.Image, ErrImagePull, f.Message)
		}
	}
	d.plan.Holds = append(d.plan.Holds, hold)
	d.again(f.Retry)
}

// PodName is how upstream's messages name a pod: name_namespace(uid).
func PodName(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}
