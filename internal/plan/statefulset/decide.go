package statefulset

import "time"

// Decide returns what to do next.
func Decide(s State, rules Rules) Plan {
	var p Plan
	if s.Deleting {
		p.teardown(s)
		return p
	}
	p.guard(s)
	if s.BadOverrides != "" {
		p.Holds = append(p.Holds, Hold{Ordinal: NoOrdinal, Why: OverridesUnusable, Detail: s.BadOverrides})
		return p
	}
	if rules.GrowClaims {
		s.Pods = forgiven(s.Pods)
	}
	slots, surplus := s.split()
	p.Again = nextAvailable(s.Pods)
	p.decide(s, slots, surplus, rules)
	if rules.GrowClaims {
		p.grow(slots)
	}
	return p
}

// decide asks the rules in their order, until one of them ends the plan.
func (p *Plan) decide(s State, slots, surplus []Pod, rules Rules) {
	switch {
	case s.Strategy == Recreate && rules.ServeRecreate && !s.Paused && p.replaceAll(s, slots, surplus),
		p.replaceAsked(s, slots),
		rules.RepairForcedRollback && !s.Paused && p.repairRollback(s, slots),
		p.fill(s, slots, surplus, rules),
		p.shrink(s, slots, surplus):
	case s.Strategy == OnDelete && outdated(s, slots) > 0:
		p.holdSet(ByHand)
	case s.Paused && s.unrolled(slots):
		p.holdSet(OnHold)
	case s.Strategy == RollingUpdate && !s.Paused:
		p.roll(s, slots)
	}
}

// nextAvailable is how long until the next ready pod becomes available.
func nextAvailable(pods []Pod) time.Duration {
	var next time.Duration
	for _, pod := range pods {
		if pod.Health == Ready && pod.AvailableIn > 0 && (next == 0 || pod.AvailableIn < next) {
			next = pod.AvailableIn
		}
	}
	return next
}

// sooner is the shorter wait; 0 means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// progress is what fill finds at one ordinal.
type progress int

// arrived: nothing is left to wait for. coming: the pod is on its way up. blocked:
// the pod cannot be made yet.
const (
	arrived progress = iota
	coming
	blocked
)

// fill brings the wanted ordinals into being, lowest first. It reports whether
// the plan ends here.
func (p *Plan) fill(s State, slots, surplus []Pod, rules Rules) bool {
	if s.Parallel {
		p.fillAll(s, slots, rules)
		return false
	}
	window, onTheWay, full := s.window(rules), 0, false
	for _, pod := range slots {
		if full && (!s.RecoverTogether || !pod.ReadyBefore) {
			continue
		}
		made := len(p.Actions)
		switch p.fillOne(s, pod, rules) {
		case blocked:
			full = true
		case coming:
			p.recovering(made, full)
			onTheWay++
			full = full || onTheWay >= window
		}
		if !full {
			p.step++
		}
	}
	p.step++
	return full || onTheWay > 0 && len(surplus) > 0
}

// recovering gives the creation of a pod out of order its reason.
func (p *Plan) recovering(from int, full bool) {
	for i := from; full && i < len(p.Actions); i++ {
		if p.Actions[i].Verb == CreatePod {
			p.Actions[i].Why = Recovering
		}
	}
}

// fillAll looks at every ordinal of a Parallel set.
func (p *Plan) fillAll(s State, slots []Pod, rules Rules) {
	onTheWay, limited := 0, false
	for _, pod := range slots {
		if pod.Health > Dead && pod.unavailable() && !pod.Terminating {
			onTheWay++
		}
	}
	for _, pod := range slots {
		if pod.Health == Absent {
			if limited = s.StartLimit > 0 && onTheWay >= s.StartLimit; limited {
				continue
			}
			onTheWay++
		}
		p.fillOne(s, pod, rules)
	}
	if limited {
		p.holdSet(StartBudget)
	}
	p.step++
}

// window is how many pods of an ordered set may be on their way up at once.
func (s State) window(rules Rules) int {
	if rules.OrderedWindow && s.Strategy == RollingUpdate && s.HasRolling {
		return s.MaxUnavailable
	}
	return 1
}

func (p *Plan) fillOne(s State, pod Pod, rules Rules) progress {
	ordered := !s.Parallel
	switch {
	case pod.Health == Dead && pod.Terminating:
		p.hold(pod, AwaitGone)
		return blocked
	case pod.Health == Dead && rules.BackOff && pod.RetryIn > 0 && pod.Revision == s.revisionFor(pod.Ordinal, rules):
		p.Holds = append(p.Holds, Hold{Ordinal: pod.Ordinal, Why: BackingOff, Left: pod.RetryIn, Detail: pod.Detail})
		p.Again = sooner(p.Again, pod.RetryIn)
		return blocked
	case pod.Health == Dead:
		p.do(Action{Verb: DeletePod, Ordinal: pod.Ordinal, UID: pod.UID, Why: Ended})
		return blocked
	case pod.Health == Absent:
		return p.create(s, pod, rules)
	case pod.Health == Pending:
		whole := p.restoreClaims(s, pod)
		if ordered {
			p.holdFor(pod)
			return pod.underway()
		}
		if whole {
			p.repairLabels(pod)
		}
		return coming
	case ordered && pod.unavailable():
		p.holdFor(pod)
		return pod.underway()
	}
	if !p.repair(s, pod) {
		return blocked
	}
	return arrived
}

// underway tells a pod that comes up from one that has to be made again first.
func (p Pod) underway() progress {
	if p.Terminating {
		return blocked
	}
	return coming
}

// create makes a pod and the claims it lacks, unless a claim stands in the way.
func (p *Plan) create(s State, pod Pod, rules Rules) progress {
	for _, claim := range pod.Claims {
		if s.Retention.WhenScaled && claim.PodRef == Stale {
			p.holdClaim(pod, claim.Name, ClaimStale)
			return blocked
		}
	}
	if !p.makeClaims(s, pod) {
		return blocked
	}
	revision := s.revisionFor(pod.Ordinal, rules)
	if s.mixes(revision) {
		p.holdSet(OnHold) // paused on its way back from a revision that is given up
		return blocked
	}
	p.do(Action{Verb: CreatePod, Ordinal: pod.Ordinal, Revision: revision, Why: Missing})
	p.ownAll(s, pod) // as upstream: only once the pod is there
	return coming
}

// restoreClaims makes the claims that do not exist and lets the others have the
// right owner. It reports whether none is in the way.
func (p *Plan) restoreClaims(s State, pod Pod) bool {
	if !p.makeClaims(s, pod) {
		return false
	}
	p.ownAll(s, pod)
	return true
}

// makeClaims creates claims that do not exist. One that is being deleted has to
// go before anything else is done for the pod: it reports whether there is none.
func (p *Plan) makeClaims(s State, pod Pod) bool {
	whole := true
	for _, claim := range pod.Claims {
		switch {
		case claim.Missing:
			p.do(Action{
				Verb: CreateClaim, Ordinal: pod.Ordinal, Claim: claim.Name, Template: claim.Template,
				Owner: claim.owner(s, pod), Why: ClaimMissing,
			})
		case claim.Deleting:
			p.holdClaim(pod, claim.Name, ClaimDeleting)
			whole = false
		}
	}
	return whole
}

// ownAll lets the claims that exist have the right owner.
func (p *Plan) ownAll(s State, pod Pod) {
	for _, claim := range pod.Claims {
		if !claim.Missing {
			p.own(s, pod, claim)
		}
	}
}

// own lets the retention policy's owner own the claim.
func (p *Plan) own(s State, pod Pod, claim Claim) {
	if !claim.owned(s, pod) {
		p.do(Action{
			Verb: OwnClaim, Ordinal: pod.Ordinal, UID: pod.UID, Claim: claim.Name, Template: claim.Template,
			Owner: claim.owner(s, pod), Why: ClaimPolicy,
		})
	}
}

// repair restores a pod's labels, its volumes and its claims' owners. It reports
// whether nothing stands in the way of that.
func (p *Plan) repair(s State, pod Pod) bool {
	if !pod.WrongStorage {
		p.ownAll(s, pod)
	} else if !p.restoreClaims(s, pod) {
		return false
	}
	p.repairLabels(pod)
	return true
}

func (p *Plan) repairLabels(pod Pod) {
	if pod.WrongIdentity || pod.WrongStorage {
		p.do(Action{Verb: RepairPod, Ordinal: pod.Ordinal, UID: pod.UID, Volumes: pod.WrongStorage, Why: Misnamed})
	}
}

// shrink deletes surplus pods, highest first. It reports whether the plan ends here.
func (p *Plan) shrink(s State, slots, surplus []Pod) bool {
	for _, pod := range surplus {
		p.ownAll(s, pod)
	}
	p.step++
	for _, pod := range surplus {
		switch {
		case pod.Terminating:
			p.hold(pod, AwaitGone)
			if !s.Parallel {
				return true
			}
			continue
		case !s.Parallel && !s.ScaleDownUnready && pod.Health < Available && !firstUnavailable(slots, surplus, pod):
			p.hold(pod, AwaitLower)
			return true
		}
		p.do(Action{Verb: DeletePod, Ordinal: pod.Ordinal, UID: pod.UID, Why: Surplus})
		if !s.Parallel {
			return true
		}
	}
	p.step++
	return false
}

// firstUnavailable reports whether pod is the lowest one that is not available;
// wanted ordinals come before surplus ones.
func firstUnavailable(slots, surplus []Pod, pod Pod) bool {
	for _, slot := range slots {
		if slot.unavailable() {
			return false
		}
	}
	for _, other := range surplus {
		if other.unavailable() && other.Ordinal < pod.Ordinal {
			return false
		}
	}
	return true
}
