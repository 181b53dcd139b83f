package statefulset

// outdated counts the existing pods that are not of the update revision.
func outdated(s State, slots []Pod) int {
	n := 0
	for _, pod := range slots {
		if pod.old(s) {
			n++
		}
	}
	return n
}

// old reports whether the pod exists and is not what the update revision and the
// overrides make of its ordinal.
func (p Pod) old(s State) bool {
	return p.Health != Absent && (p.Revision != s.Update || p.Override != p.Overridden)
}

// replaceable leaves out pods that are on their way already.
func (p Pod) replaceable(s State) bool {
	return p.old(s) && p.Health != Dead && !p.Terminating
}

// roll deletes outdated pods from the highest ordinal, or by the order asked for,
// down to the partition, as many as maxUnavailable allows.
func (p *Plan) roll(s State, slots []Pod) {
	if outdated(s, slots) == 0 {
		return
	}
	unavailable, stuck := 0, false
	for _, pod := range slots {
		if pod.unavailable() {
			unavailable++
			stuck = stuck || pod.old(s) && !pod.Terminating
		}
	}
	budget := s.MaxUnavailable - unavailable
	if budget <= 0 && (!s.Parallel || !stuck) {
		p.holdSet(Budget)
		return
	}
	from, allowed := min(s.Partition, len(slots)), s.allowance()
	if s.Parallel { // what is broken already costs nothing
		for i := len(slots) - 1; i >= from; i-- {
			if pod := slots[i]; pod.replaceable(s) && pod.unavailable() {
				p.disrupt(s, pod, Outdated, allowed)
			}
		}
	}
	var left []Pod
	queue := s.turns(slots[from:])
	for i, pod := range queue {
		if !pod.replaceable(s) || s.Parallel && pod.unavailable() {
			continue
		}
		if budget > 0 && s.early(queue[:i], pod, unavailable > 0) {
			p.hold(pod, LaterTurn)
			break
		}
		if budget <= 0 {
			left = append(left, pod)
			continue
		}
		if p.disrupt(s, pod, Outdated, allowed) {
			budget--
		} else if !s.Parallel {
			break // lower pods wait for their turn
		}
	}
	p.pullAhead(s, left)
	switch {
	case len(left) > 0:
		p.holdSet(Budget)
	case len(p.Actions) == 0 && from > 0:
		p.holdSet(Partitioned)
	}
}

// unrolled reports whether a rollout would have something to do.
func (s State) unrolled(slots []Pod) bool {
	switch s.Strategy {
	case RollingUpdate:
		return outdated(s, slots[min(s.Partition, len(slots)):]) > 0
	case Recreate:
		return outdated(s, slots) > 0
	}
	return false
}

// disrupt changes a pod if every PodDisruptionBudget lets it go.
func (p *Plan) disrupt(s State, pod Pod, why Why, allowed *allowance) bool {
	if why == Outdated && !p.pulled(s, pod) {
		return false
	}
	if refused := allowed.take(pod); refused != "" {
		p.Holds = append(p.Holds, Hold{Ordinal: pod.Ordinal, Why: Protected, Budget: refused})
		return false
	}
	if why == Asked {
		p.do(s.take(pod, why))
		return true
	}
	return p.change(s, pod, why)
}

// replace deletes a pod; it is created anew once it is gone.
func (p *Plan) replace(pod Pod, why Why) {
	p.do(Action{Verb: DeletePod, Ordinal: pod.Ordinal, UID: pod.UID, Why: why})
}

// replaceAll is the Recreate strategy: no pod of an old revision beside one of
// the new. It reports whether the plan ends here.
func (p *Plan) replaceAll(s State, slots, surplus []Pod) bool {
	var old []Pod
	ready := true
	for _, pods := range [][]Pod{slots, surplus} {
		for _, pod := range pods {
			if pod.old(s) {
				old = append(old, pod)
				ready = (pod.Terminating || p.pulled(s, pod)) && ready
			}
		}
	}
	if !ready && s.Current != s.Update {
		return false // the images first; on the way back they are there
	}
	for _, pod := range old {
		if pod.Terminating {
			p.hold(pod, AwaitGone)
		} else {
			p.replace(pod, Outdated)
		}
	}
	return len(old) > 0
}

// repairRollback replaces the highest pod that is stuck on a revision which the
// set has left behind. It reports whether the plan ends here.
//
// Only such a pod is taken: not ready, not of the update revision, not of the
// revision that it would come back with, and either of a revision that is given
// up (so that no rollout will come back to it) or kept from ever starting. A pod
// of the current revision that worked and is not ready now is left to upstream's
// rules: its disturbance may pass.
func (p *Plan) repairRollback(s State, slots []Pod) bool {
	if s.Parallel || s.Strategy != RollingUpdate {
		return false
	}
	for i := len(slots) - 1; i >= 0; i-- {
		pod := slots[i]
		if !pod.replaceable(s) || pod.Health >= Ready {
			continue
		}
		current := pod.Revision == s.Current
		if !current || pod.NeverStarted && i >= s.keptWithoutOne() {
			if i < s.keptWithoutOne() {
				p.replace(pod, Abandoned) // it comes back at the current revision
				return true
			}
			return p.change(s, pod, Abandoned)
		}
	}
	return false
}

// keptWithoutOne is how many of the lowest ordinals keep the current revision once
// a pod that has it is gone: below that it would only come back the same.
func (s State) keptWithoutOne() int {
	if s.HasRolling {
		return s.Partition
	}
	if !s.Order.Default() {
		return 0
	}
	return s.keepers() - 1
}
