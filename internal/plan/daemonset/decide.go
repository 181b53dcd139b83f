package daemonset

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/podready"
)

// Plan is what to do now, and when to look again although nothing has changed
// (0: not by time alone).
type Plan struct {
	Create  []string // nodes
	Delete  []*corev1.Pod
	Events  []Event
	Backoff Backoff
	Again   time.Duration
}

// Event is one to record about the set.
type Event struct{ Type, Reason, Message string }

// burst is how many pods are made or deleted at once; the rest follows when
// these are seen.
const burst = 250

// Decide compares what is with what is wanted.
func Decide(f Facts) Plan {
	sites := f.sites()
	p := Plan{Backoff: f.Backoff.of(f.Set.Status.ObservedGeneration, f.Now), Again: f.availableIn()}
	f.tidy(&p, sites)
	if len(p.Create) == 0 && len(p.Delete) == 0 && f.Set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		if surge, unavailable := f.bounds(sites); surge > 0 {
			f.rollWithSurge(&p, sites, surge)
		} else {
			f.roll(&p, sites, unavailable)
		}
	}
	p.Create = p.Create[:min(len(p.Create), burst)]
	p.Delete = p.Delete[:min(len(p.Delete), burst)]
	return p
}

// tidy sees to it that each node has what it is to have, whatever the template.
func (f Facts) tidy(p *Plan, sites []site) {
	surges := f.surges()
	for _, s := range sites {
		switch {
		case !s.node:
			// What waits for a node that does not exist would wait for ever. What
			// is bound to it is the pod collector's.
			for _, pod := range s.pods {
				if pod.Spec.NodeName == "" {
					p.remove(pod)
				}
			}
		case s.run && len(s.pods) == 0:
			p.Create = append(p.Create, s.name)
		case !s.stay:
			for _, pod := range s.pods {
				p.remove(pod)
			}
		default:
			running := f.sweep(p, s)
			switch {
			case surges && len(running) == 0 && s.run:
				p.Create = append(p.Create, s.name) // the one that is going must not be waited for
			case surges && len(running) > 1:
				f.pickPair(p, running)
			case len(running) > 1:
				for _, pod := range running[1:] {
					p.remove(pod)
				}
			}
		}
	}
}

// sweep deletes what has ended and returns what has not and is not going.
func (f Facts) sweep(p *Plan, s site) (running []*corev1.Pod) {
	for _, pod := range s.pods {
		switch {
		case pod.DeletionTimestamp != nil:
		case pod.Status.Phase == corev1.PodFailed:
			if left := p.Backoff.left(s.name, f.Now); left > 0 {
				p.Again = sooner(p.Again, left)
				continue
			}
			p.Backoff.next(s.name, f.Now)
			p.say(corev1.EventTypeWarning, "FailedDaemonPod", "Found failed daemon pod %s/%s on node %s, will try to kill it", pod.Namespace, pod.Name, s.name)
			p.remove(pod)
		case pod.Status.Phase == corev1.PodSucceeded:
			p.say(corev1.EventTypeNormal, "SucceededDaemonPod", "Found succeeded daemon pod %s/%s on node %s, will try to delete it", pod.Namespace, pod.Name, s.name)
			p.remove(pod)
		default:
			running = append(running, pod)
		}
	}
	return running
}

// pickPair leaves of a node's pods one of the set's template and one of an older
// one, and the latter only while it serves and the former does not yet. Of
// several it takes the oldest that serves; upstream takes the oldest, and so,
// when a rollout overtakes another, a pod that serves from a node that has no
// other.
func (f Facts) pickPair(p *Plan, running []*corev1.Pod) {
	of := func(isFresh bool) *corev1.Pod {
		var best *corev1.Pod
		for _, pod := range running {
			if (pod.Labels[HashLabel] == f.Hash) == isFresh && (best == nil || !f.available(best) && f.available(pod)) {
				best = pod
			}
		}
		return best
	}
	fresh, old := of(true), of(false)
	if fresh != nil && old != nil && (!podready.Ready(old) || f.available(fresh)) {
		p.remove(old)
	}
	for _, pod := range running {
		if pod != fresh && pod != old {
			p.remove(pod)
		}
	}
}

func (p *Plan) remove(pod *corev1.Pod) {
	if pod.DeletionTimestamp == nil {
		p.Delete = append(p.Delete, pod)
	}
}

func (p *Plan) say(kind, reason, format string, args ...any) {
	p.Events = append(p.Events, Event{Type: kind, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// availableIn is how long until the next ready pod has been so for long enough.
func (f Facts) availableIn() time.Duration {
	next := time.Duration(0)
	for _, pod := range f.Pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		_, left := podready.Available(pod, f.Set.Spec.MinReadySeconds, f.Now)
		next = sooner(next, left)
	}
	return next
}

// sooner is the shorter of two waits; 0 means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
