package podsync

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"berth.dev/berth/internal/plan/probe"
	corev1 "k8s.io/api/core/v1"
)

// leastGrace is upstream's: every container gets a moment to stop by itself.
const leastGrace = 2

// Hash names what a container is made from, so that a change of the pod's
// spec can be told: of all fields only the image may change in place.
func Hash(c *corev1.Container) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Name + "\x00" + c.Image))
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// condemn stops a running container that must not go on.
func (d *decision) condemn(c *corev1.Container, cur *Container) {
	verdicts := d.Probes[cur.ID]
	willRestart := d.restarts(c, &Container{ExitCode: 137}, false) || IsSidecar(c)
	switch {
	case cur.Hash != "" && cur.Hash != Hash(c):
		d.stop(cur, d.grace(), DefinitionChanged, fmt.Sprintf("Container %s definition changed, will be restarted", c.Name))
	case verdicts.Liveness == probe.Failure:
		d.stop(cur, d.probeGrace(c.LivenessProbe), LivenessFailed, intent("Container "+c.Name+" failed liveness probe", willRestart))
	case verdicts.Startup == probe.Failure:
		d.stop(cur, d.probeGrace(c.StartupProbe), StartupFailed, intent("Container "+c.Name+" failed startup probe", willRestart))
	}
}

func intent(message string, restart bool) string {
	if restart {
		return message + ", will be restarted"
	}
	return message
}

// stop asks for a container to be stopped, or to be stopped sooner.
func (d *decision) stop(c *Container, grace int64, why Why, message string) {
	// What is left for sidecars shrinks by itself: only a shorter grace of the
	// pod overtakes a stop under way.
	if given, busy := d.Busy.Stops[c.ID]; busy && given <= max(grace, d.grace()) {
		return
	}
	if d.waits(c.ID) {
		return
	}
	if message == "" {
		message = "Stopping container " + c.Name
	}
	d.do(Action{Kind: StopContainer, Why: why, Container: c.Name, ID: c.ID, Grace: grace, Message: message})
}

// grace is how many seconds the pod's containers have to stop.
func (d *decision) grace() int64 {
	switch {
	case d.Kill != nil && d.Kill.Grace != nil:
		return max(*d.Kill.Grace, leastGrace)
	case d.Pod.DeletionGracePeriodSeconds != nil:
		return max(*d.Pod.DeletionGracePeriodSeconds, leastGrace)
	case d.Pod.Spec.TerminationGracePeriodSeconds != nil:
		return max(*d.Pod.Spec.TerminationGracePeriodSeconds, leastGrace)
	default:
		return corev1.DefaultTerminationGracePeriodSeconds
	}
}

func (d *decision) probeGrace(p *corev1.Probe) int64 {
	if p != nil && p.TerminationGracePeriodSeconds != nil {
		return max(*p.TerminationGracePeriodSeconds, leastGrace)
	}
	return d.grace()
}

// remaining is what is left of the grace for sidecars, which stop last.
func (d *decision) remaining() int64 {
	grace := d.grace()
	if d.Pod.DeletionTimestamp == nil {
		return grace
	}
	left := int64(d.Pod.DeletionTimestamp.Sub(d.Now) / time.Second)
	return min(max(left, leastGrace), grace)
}

// hookSidecars begins the preStop hooks of sidecars: all hooks of a pod begin
// together, only the stops that follow have an order.
func (d *decision) hookSidecars(but string, why Why) {
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		cur := d.latest[c.Name]
		if !IsSidecar(c) || c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Name == but || cur == nil || cur.Phase != Running {
			continue
		}
		if _, stopping := d.Busy.Stops[cur.ID]; !stopping && !d.Busy.Hooked[cur.ID] {
			d.do(Action{Kind: RunPreStop, Why: why, Container: c.Name, ID: cur.ID, Grace: d.remaining()})
		}
	}
}

// stopSidecars stops the last running sidecar; true means that none runs.
func (d *decision) stopSidecars(grace int64, why Why) bool {
	for i := len(d.Pod.Spec.InitContainers) - 1; i >= 0; i-- {
		c := &d.Pod.Spec.InitContainers[i]
		if !IsSidecar(c) {
			continue
		}
		if cur := d.latest[c.Name]; cur != nil && cur.Phase == Running {
			d.hookSidecars(c.Name, why)
			d.stop(cur, grace, why, "")
			return false
		}
	}
	return true
}

// stopAll stops every container, sidecars last; true means that none runs and
// none is about to.
func (d *decision) stopAll(why Why) bool {
	sidecars := map[string]bool{}
	for i := range d.Pod.Spec.InitContainers {
		if c := &d.Pod.Spec.InitContainers[i]; IsSidecar(c) {
			sidecars[c.Name] = true
		}
	}
	quiet := true
	for i := range d.Containers {
		c := &d.Containers[i]
		if c.Phase == Running && (!sidecars[c.Name] || d.latest[c.Name] != c) {
			d.stop(c, d.grace(), why, "")
			quiet = false
		}
	}
	if quiet {
		quiet = d.stopSidecars(d.remaining(), why)
	} else {
		d.hookSidecars("", why)
	}
	return quiet && d.Busy.Start == "" && !d.Busy.Sandbox
}

// tearDown is true once sandboxes and volumes are down.
func (d *decision) tearDown(why Why) bool {
	down := d.stopSandboxes(why)
	if !d.Volumes.Gone {
		down = false
		if !d.Busy.Volumes && !d.waits("volumes") {
			d.do(Action{Kind: UnmountVolumes, Why: why})
		}
	}
	return down
}

// retire leaves only the records of a pod that has run to its end.
func (d *decision) retire() {
	if d.stopAll(PodFinished) {
		d.tearDown(PodFinished)
	}
}

// end takes the pod away, from the node and from the API.
func (d *decision) end() {
	if !d.stopAll(PodEnding) || !d.tearDown(PodEnding) {
		return
	}
	if !d.Absent && d.Pod.DeletionTimestamp == nil {
		return // killed by the node: the object and the logs stay
	}
	if !d.Absent && !d.Deleted && !d.Busy.Delete && !d.waits("delete") {
		d.do(Action{Kind: DeletePod, Why: PodEnding})
	}
	for _, sb := range d.Sandboxes {
		if !d.Busy.Removes[sb.ID] && !d.waits(sb.ID) {
			d.do(Action{Kind: RemoveSandbox, Why: PodEnding, ID: sb.ID})
		}
	}
	d.plan.Over = len(d.Sandboxes) == 0 && len(d.Containers) == 0 && (d.Absent || d.Deleted)
}
