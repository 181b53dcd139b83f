package statefulset

import (
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/statefulset/inplace"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// observeInPlace reads whether the pod is still being updated in place, which is
// no better than starting, and whether it can be.
func (p *Pod) observeInPlace(f Facts, s State, pod *corev1.Pod) {
	if p.Health > Starting {
		if what, stuck := inplace.Pending(pod); what != "" {
			p.Health, p.AvailableIn, p.Detail, p.Stuck = Starting, 0, what, stuck
		}
	}
	if s.InPlace == options.Never || !p.old(s) {
		return
	}
	from, to := f.Rendered(p.Revision, p.Ordinal), f.Rendered(s.Update, p.Ordinal)
	switch {
	case p.Override != p.Overridden:
		p.Obstacle = "its overrides have changed"
	case from == nil || to == nil:
		p.Obstacle = "its revision is not known any more"
	case p.WrongStorage && !p.OlderStorage:
		p.Obstacle = "its volumes are not those of its claims"
	case !inplace.Resizable(pod, to):
		p.Obstacle = "its node does not report that it can resize containers"
	default:
		if found := inplace.Check(from, to); found != nil {
			p.Obstacle = found.Error()
			return
		}
		p.Patchable = true
	}
}

// change brings an outdated pod to the update revision, in place when that is
// asked for and possible. It reports whether it does.
func (p *Plan) change(s State, pod Pod, why Why) bool {
	switch {
	case s.InPlace != options.Never && pod.Patchable:
		p.do(Action{Verb: PatchPod, Ordinal: pod.Ordinal, UID: pod.UID, Revision: s.Update, Why: why})
	case s.InPlace == options.Only:
		p.Holds = append(p.Holds, Hold{Ordinal: pod.Ordinal, Why: NotInPlace, Detail: pod.Obstacle})
		return false
	default:
		p.do(s.take(pod, why))
	}
	return true
}
