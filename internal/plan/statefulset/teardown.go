package statefulset

import "slices"

// guard lets the set carry the finalizer of an ordered teardown while one is
// asked for. It comes before any pod is made, so that none escapes it.
func (p *Plan) guard(s State) {
	switch {
	case s.Teardown && !s.Guarded:
		p.do(Action{Verb: GuardSet, Ordinal: NoOrdinal, Why: Guarding})
	case !s.Teardown && s.Guarded:
		p.do(Action{Verb: UnguardSet, Ordinal: NoOrdinal, Why: LetGo})
	default:
		return
	}
	p.step++
}

// teardown is all that happens to a set that is being deleted: nothing, unless
// its pods are to be stopped in order. Then the highest goes, and is gone before
// the next; the last takes the finalizer with it. Pods that are to outlive the
// set are left to the garbage collector. What a cache shows as the set's may have
// been orphaned since: a pod that has changed is looked at again.
func (p *Plan) teardown(s State) {
	i := len(s.Pods) - 1
	for i >= 0 && s.Pods[i].Health == Absent {
		i--
	}
	switch {
	case s.Guarded && (i < 0 || !s.Teardown || s.Orphaning):
		p.do(Action{Verb: UnguardSet, Ordinal: NoOrdinal, Why: LetGo})
		p.holdSet(SetDeleting)
	case !s.Guarded:
		p.holdSet(SetDeleting)
	case s.Pods[i].Terminating:
		p.hold(s.Pods[i], AwaitGone)
	default:
		p.do(Action{Verb: DeletePod, Ordinal: s.Pods[i].Ordinal, UID: s.Pods[i].UID, Why: TornDown, Exact: true})
	}
}

// Finalizers returns the set's finalizers with or without one of them.
func Finalizers(have []string, name string, with bool) []string {
	kept := slices.DeleteFunc(slices.Clone(have), func(f string) bool { return f == name })
	if with {
		kept = append(kept, name)
	}
	return kept
}
