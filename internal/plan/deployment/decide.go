package deployment

import (
	"cmp"
	"slices"
)

// Plan is the writes of one step, in order.
type Plan struct {
	Actions []Action
	// Rollout: the step is part of a rollout, whose progress is watched. It is not
	// while the Deployment is paused or follows a change of the wanted number.
	Rollout bool
}

// Action is one write.
type Action struct {
	Verb Verb
	// Set is the set's name; "" for the one to create.
	Set      string
	From, To int
}

// Verb is what an action does.
type Verb string

// The verbs.
const (
	CreateSet  Verb = "create"   // make the set of the template, of size To
	RefreshSet Verb = "refresh"  // let the new set carry what it should of the Deployment
	ScaleSet   Verb = "scale"    // From and To may be equal: then only the annotations are wrong
	DeleteSet  Verb = "delete"   // history beyond the limit
	RollBack   Verb = "rollback" // do as the annotation of older versions says
)

// Decide says what to do next.
func Decide(s State) Plan {
	switch {
	case s.Deleting:
		return Plan{}
	case s.Paused:
		actions := first(s.refresh, s.rescale)
		if len(actions) == 0 && !s.Rollback {
			actions = s.forget()
		}
		return Plan{Actions: actions}
	case s.Rollback:
		return Plan{Actions: first(s.refresh, s.create, func() []Action { return []Action{{Verb: RollBack}} })}
	case s.resized():
		// A Deployment that recreates its pods may have nothing to scale in
		// proportion: then it rolls.
		if actions := first(s.refresh, s.rescale); len(actions) > 0 {
			return Plan{Actions: actions}
		}
	}
	p := Plan{Rollout: true}
	if s.Recreate {
		p.Actions = first(s.refresh, s.recreate)
	} else {
		p.Actions = first(s.refresh, s.create, s.grow, s.shrink)
	}
	if len(p.Actions) == 0 && s.Complete {
		p.Actions = s.forget()
	}
	return p
}

// first is what the first step that has something to do does.
func first(steps ...func() []Action) []Action {
	for _, step := range steps {
		if actions := step(); len(actions) > 0 {
			return actions
		}
	}
	return nil
}

func (s State) refresh() []Action {
	if set, ok := s.newest(); ok && set.Stale {
		return []Action{{Verb: RefreshSet, Set: set.Name}}
	}
	return nil
}

func scale(set Set, to int) Action {
	return Action{Verb: ScaleSet, Set: set.Name, From: set.Size, To: to}
}

// create makes the set of the template, as large as the surge allows.
func (s State) create() []Action {
	if _, ok := s.newest(); ok {
		return nil
	}
	if s.Recreate {
		return []Action{{Verb: CreateSet, To: s.Replicas}}
	}
	return []Action{{Verb: CreateSet, To: s.room(Set{})}}
}

// room is how many pods may be added to the new set at once.
func (s State) room(latest Set) int {
	if !s.settled() {
		return 0
	}
	return max(0, min(s.Replicas+s.Surge-total(s.Sets, most), s.Replicas-latest.Size))
}

// settled reports whether every set's controller has seen its size: until then a
// set may still make pods of a larger one.
func (s State) settled() bool {
	return !slices.ContainsFunc(s.Sets, func(set Set) bool { return !set.Seen })
}

// grow brings the new set nearer to what is wanted.
func (s State) grow() []Action {
	latest, _ := s.newest()
	switch {
	case latest.Size > s.Replicas:
		return []Action{scale(latest, s.Replicas)}
	case latest.Size < s.Replicas:
		if room := s.room(latest); room > 0 {
			return []Action{scale(latest, latest.Size+room)}
		}
	}
	return nil
}

// shrink takes from the old sets what is not needed for the least that must be
// available: first pods that do not serve, then others, the oldest sets first.
func (s State) shrink() []Action {
	latest, _ := s.newest()
	least := s.Replicas - s.Unavailable
	unhealthy := total(s.Sets, size) - least - (latest.Size - serving(latest))
	if unhealthy <= 0 {
		return nil
	}
	spare := total(s.Sets, serving) - least
	var actions []Action
	for _, set := range active(s.old()) {
		to := set.Size
		if idle := min(unhealthy, set.Size-serving(set)); idle > 0 {
			unhealthy -= idle
			to -= idle
		}
		if n := min(spare, to); n > 0 {
			spare -= n
			to -= n
		}
		if to < set.Size {
			actions = append(actions, scale(set, to))
		}
	}
	return actions
}

// recreate stops the old pods, waits until they have ended, and starts new ones.
func (s State) recreate() []Action {
	var actions []Action
	for _, set := range active(s.old()) {
		actions = append(actions, scale(set, 0))
	}
	switch {
	case len(actions) > 0:
		return actions
	case s.OldPods || slices.ContainsFunc(s.old(), func(set Set) bool { return set.Pods > 0 || !set.Seen }):
		return nil
	}
	latest, ok := s.newest()
	if !ok {
		return s.create()
	}
	if latest.Size != s.Replicas {
		return []Action{scale(latest, s.Replicas)}
	}
	return nil
}

// forget deletes old sets beyond the limit, those of the lowest revisions first.
// One that has or is to have pods is kept, though it counts.
func (s State) forget() []Action {
	old := slices.DeleteFunc(s.old(), func(set Set) bool { return set.Deleting })
	if s.HistoryLimit < 0 || len(old) <= s.HistoryLimit {
		return nil
	}
	slices.SortStableFunc(old, func(a, b Set) int { return cmp.Compare(a.Revision, b.Revision) })
	var actions []Action
	for _, set := range old[:len(old)-s.HistoryLimit] {
		if set.Size == 0 && set.Pods == 0 && set.Seen {
			actions = append(actions, Action{Verb: DeleteSet, Set: set.Name})
		}
	}
	return actions
}
