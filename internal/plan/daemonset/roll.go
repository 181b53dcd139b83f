package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// bounds are how many nodes may have a second pod, and how many may be without
// one that serves, during a rollout. Percents are of the nodes that are to have a
// pod, rounded up. Both cannot be 0.
func (f Facts) bounds(sites []site) (surge, unavailable int) {
	wanted := wanted(sites)
	surge = f.surge(wanted)
	if rolling := f.Set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
		unavailable = scaled(rolling.MaxUnavailable, wanted)
	}
	if surge == 0 && unavailable == 0 && wanted > 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// surges reports whether a node may have more than one pod.
func (f Facts) surges() bool { return f.surge(1) > 0 }

func (f Facts) surge(nodes int) int {
	strategy := f.Set.Spec.UpdateStrategy
	if strategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || strategy.RollingUpdate == nil {
		return 0
	}
	return scaled(strategy.RollingUpdate.MaxSurge, nodes)
}

func scaled(value *intstr.IntOrString, nodes int) int {
	if value == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(value, nodes, true)
	if err != nil {
		return 0 // the API accepts no such value
	}
	return max(n, 0)
}

func wanted(sites []site) int {
	n := 0
	for _, s := range sites {
		if s.run {
			n++
		}
	}
	return n
}

// roll deletes pods of older templates: all that do not serve, as nothing is
// lost with them, and as many others as leave no more than so many nodes without
// a pod that serves. New pods follow when these are gone.
func (f Facts) roll(p *Plan, sites []site, most int) {
	var serving []*corev1.Pod
	without := 0
	for _, s := range sites {
		if !s.run && len(s.pods) == 0 {
			continue
		}
		fresh, old, ok := f.pair(s)
		switch {
		case !ok, (fresh == nil) == (old == nil):
			without++ // it is being put in order
		case fresh != nil:
			if !f.available(fresh) {
				without++
			}
		case !f.available(old):
			without++
			p.remove(old)
		default:
			serving = append(serving, old)
		}
	}
	for _, pod := range serving[:min(len(serving), max(most-without, 0))] {
		p.remove(pod)
	}
}

// rollWithSurge makes pods of the set's template next to older ones: next to all
// that do not serve, and next to so many that do. An older pod goes when the one
// next to it serves. Where the new template admits no pod any more, one that
// serves goes only when enough others do.
func (f Facts) rollWithSurge(p *Plan, sites []site, most int) {
	var candidates []string
	var unwanted []*corev1.Pod
	beside, serving := 0, 0
	for _, s := range sites {
		fresh, old, ok := f.pair(s)
		if !ok {
			beside++ // it is being put in order
			continue
		}
		counts := old
		if old == nil {
			counts = fresh
		}
		serves := counts != nil && f.available(counts)
		if serves {
			serving++
		}
		switch {
		case old == nil:
		case fresh != nil:
			if f.available(fresh) {
				p.remove(old)
			} else {
				beside++
			}
		case !s.run && serves:
			unwanted = append(unwanted, old)
		case !s.run:
			p.remove(old)
		case serves:
			candidates = append(candidates, s.name)
		default:
			p.Create = append(p.Create, s.name)
		}
	}
	for _, pod := range unwanted[:min(len(unwanted), max(serving-wanted(sites), 0))] {
		p.remove(pod)
	}
	p.Create = append(p.Create, candidates[:min(len(candidates), max(most-beside, 0))]...)
}
