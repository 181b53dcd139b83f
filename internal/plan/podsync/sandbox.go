package podsync

import "slices"

// haveSandbox is true when the newest sandbox is fit to hold the containers;
// otherwise it asks for what leads there.
func (d *decision) haveSandbox() bool {
	if d.sandbox != nil && d.sandbox.Ready && (d.Pod.Spec.HostNetwork || len(d.sandbox.IPs) > 0) {
		return true
	}
	if d.Busy.Sandbox || d.Busy.Start != "" {
		return false
	}
	attempt, why := int32(0), SandboxMissing
	if d.sandbox != nil {
		if !d.wantsAny() {
			d.tearDown(PodFinished)
			return false
		}
		if !d.cleared() {
			return false
		}
		attempt, why = int32(d.sandbox.Attempt)+1, SandboxDied
	}
	if f := d.SandboxRecord.Failure; f != nil && f.Retry.After(d.Now) {
		d.plan.Holds = append(d.plan.Holds, Hold{Reason: f.Reason, Message: f.Message, Until: f.Retry})
		d.again(f.Retry)
		return false
	}
	if d.Volumes.Failure != nil && !d.Volumes.Ready {
		return false // no address for a pod that cannot run yet
	}
	d.do(Action{Kind: CreateSandbox, Why: why, Attempt: attempt})
	return false
}

// cleared is true once nothing of the dead sandboxes runs any more.
func (d *decision) cleared() bool {
	clear := true
	for i := range d.Containers {
		if c := &d.Containers[i]; c.Phase == Running {
			d.stop(c, d.grace(), SandboxDied, "")
			clear = false
		}
	}
	return d.stopSandboxes(SandboxDied) && clear
}

// stopSandboxes is true when every sandbox was stopped in full.
func (d *decision) stopSandboxes(why Why) bool {
	all := true
	for _, sb := range d.Sandboxes {
		if d.Stopped[sb.ID] {
			continue
		}
		all = false
		if !d.Busy.Removes[sb.ID] && !d.waits(sb.ID) {
			d.do(Action{Kind: StopSandbox, Why: why, ID: sb.ID})
		}
	}
	return all
}

// wantsAny is true when a regular container has to run (again).
func (d *decision) wantsAny() bool {
	if d.restartsAll() {
		return true
	}
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		last := d.latest[c.Name]
		if last == nil || last.Phase != Exited || d.restarts(c, last, false) {
			return true
		}
	}
	return false
}

// removing is true when the plan removes a record already.
func (d *decision) removing(id string) bool {
	return slices.ContainsFunc(d.plan.Actions, func(a Action) bool { return a.Kind == RemoveContainer && a.ID == id })
}

// collect removes what nobody will ask for: all but the two newest records of a
// container, and sandboxes that hold nothing.
func (d *decision) collect() {
	seen := map[string]int{}
	holds := map[string]bool{}
	for i := range d.Containers {
		c := &d.Containers[i]
		seen[c.Name]++
		if seen[c.Name] > 2 && c.Phase != Running && !d.removing(c.ID) {
			if !d.Busy.Removes[c.ID] && !d.waits(c.ID) {
				d.do(Action{Kind: RemoveContainer, Why: Surplus, Container: c.Name, ID: c.ID})
			}
		}
		holds[c.SandboxID] = true
	}
	if d.plan.Ending {
		return
	}
	for i, sb := range d.Sandboxes {
		if i == 0 || holds[sb.ID] || d.Busy.Removes[sb.ID] || d.waits(sb.ID) {
			continue
		}
		if !d.Stopped[sb.ID] {
			d.do(Action{Kind: StopSandbox, Why: Surplus, ID: sb.ID})
			continue
		}
		d.do(Action{Kind: RemoveSandbox, Why: Surplus, ID: sb.ID})
	}
}
