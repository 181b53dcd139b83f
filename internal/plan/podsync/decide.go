package podsync

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// decision is one run of Decide.
type decision struct {
	State
	plan Plan
	// sandbox is the newest one, nil if there is none.
	sandbox *Sandbox
	// latest is the newest container of each name; current is the same among
	// those of the newest sandbox.
	latest, current map[string]*Container
	// starting is set once one start was asked for: one at a time.
	starting bool
}

// Decide says what to do for the pod now.
func Decide(s State) Plan {
	d := newDecision(s)
	switch {
	case d.Pod.DeletionTimestamp != nil || d.Absent || d.Kill != nil || d.pastDeadline():
		d.plan.Ending = true
		d.end()
	case Finished(d.known().Phase):
		d.plan.Ending = true
		d.retire()
	default:
		d.run()
	}
	d.collect()
	d.plan.Resized = d.resized()
	d.plan.Status = d.status()
	if Finished(d.plan.Status.Phase) && !d.plan.Ending {
		d.again(d.Now.Add(time.Millisecond)) // it has just run to its end: retire it
	}
	return d.plan
}

func newDecision(s State) *decision {
	d := &decision{State: s, latest: map[string]*Container{}, current: map[string]*Container{}}
	d.Sandboxes = slices.Clone(s.Sandboxes)
	slices.SortStableFunc(d.Sandboxes, func(a, b Sandbox) int {
		return cmp.Or(cmp.Compare(b.Attempt, a.Attempt), b.CreatedAt.Compare(a.CreatedAt))
	})
	d.Containers = slices.Clone(s.Containers)
	slices.SortStableFunc(d.Containers, func(a, b Container) int {
		return cmp.Or(cmp.Compare(b.Attempt, a.Attempt), b.CreatedAt.Compare(a.CreatedAt))
	})
	if len(d.Sandboxes) > 0 {
		d.sandbox = &d.Sandboxes[0]
	}
	for i := range d.Containers {
		c := &d.Containers[i]
		if d.latest[c.Name] == nil {
			d.latest[c.Name] = c
		}
		if d.sandbox != nil && c.SandboxID == d.sandbox.ID && d.current[c.Name] == nil {
			d.current[c.Name] = c
		}
	}
	return d
}

// known is the status to build on: what was decided last, else the API's.
func (d *decision) known() *corev1.PodStatus {
	if d.Last != nil {
		return d.Last
	}
	return &d.Pod.Status
}

// Finished is true for the phase of a pod whose containers will not run again.
func Finished(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

func (d *decision) do(a Action) { d.plan.Actions = append(d.plan.Actions, a) }

// again makes sure that Decide runs at that time.
func (d *decision) again(at time.Time) {
	if at.IsZero() || !at.After(d.Now) {
		return
	}
	if d.plan.Again.IsZero() || at.Before(d.plan.Again) {
		d.plan.Again = at
	}
}

// waits says that the work named by key failed and must wait.
func (d *decision) waits(key string) bool {
	if at, ok := d.Waits[key]; ok && at.After(d.Now) {
		d.again(at)
		return true
	}
	return false
}

// pastDeadline checks activeDeadlineSeconds and, when it is over, ends the pod.
func (d *decision) pastDeadline() bool {
	limit, start := d.Pod.Spec.ActiveDeadlineSeconds, d.known().StartTime
	if limit == nil || start == nil || Finished(d.known().Phase) {
		return false
	}
	end := start.Add(time.Duration(*limit) * time.Second)
	if d.Now.Before(end) {
		d.again(end)
		return false
	}
	d.Kill = &Kill{Phase: corev1.PodFailed, Reason: DeadlineExceeded, Message: DeadlineExceededMessage}
	return true
}

// run brings the pod to what its spec asks for.
func (d *decision) run() {
	d.mount()
	if !d.haveSandbox() || !d.Volumes.Ready {
		return
	}
	if d.restartsAll() {
		d.reset()
		return
	}
	d.startEphemeral()
	if d.initialize() {
		d.keepRegular()
	}
}

func (d *decision) mount() {
	if d.Volumes.Ready || d.Busy.Volumes {
		return
	}
	if f := d.Volumes.Failure; f != nil && f.Retry.After(d.Now) {
		d.plan.Holds = append(d.plan.Holds, Hold{Reason: f.Reason, Message: f.Message, Until: f.Retry})
		d.again(f.Retry)
		return
	}
	d.do(Action{Kind: MountVolumes, Why: NeverStarted})
}
