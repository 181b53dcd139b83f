package statefulset

// replaceAsked replaces the pods whose label asks for it, highest first, whatever
// their revision and the update strategy. What works costs the budget of a
// rollout, what does not is free, but no more go at once. It reports whether the plan ends here.
func (p *Plan) replaceAsked(s State, slots []Pod) bool {
	budget, going, waiting, before := s.MaxUnavailable, 0, 0, len(p.Actions)
	for _, pod := range slots {
		if pod.unavailable() {
			budget--
		}
		if pod.Terminating {
			going++
		}
	}
	allowed := s.allowance()
	for i := len(slots) - 1; i >= 0; i-- {
		pod := slots[i]
		if !pod.Asked || pod.Health <= Dead || pod.Terminating {
			continue
		}
		cost := 1
		if pod.unavailable() {
			cost = 0 // it is counted already
		}
		if pod.Health >= Ready && budget < cost || going >= s.MaxUnavailable {
			waiting++
			continue
		}
		budget -= cost
		going++
		p.disrupt(s, pod, Asked, allowed)
	}
	if waiting > 0 {
		p.holdSet(Budget)
	}
	return len(p.Actions) > before
}
