package scheduler

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/schedule"
)

// serve moves one pod one step towards its node.
func (s *scheduler) serve(ctx context.Context, w *waiting, pod *corev1.Pod) {
	ask, err := s.observe(ctx, pod)
	if err != nil {
		s.finish(w, err)
		return
	}
	decision, displaced := s.decide(w, ask)
	switch {
	case decision == nil:
		return
	case decision.Node == "":
		if err = s.refuse(ctx, ask.Pod, decision); err == nil {
			err = s.preempt(ctx, ask.Pod, decision, displaced)
		}
	case len(decision.Claims) > 0:
		err = s.complain(ctx, ask.Pod, s.settle(ctx, decision))
	default:
		err = s.complain(ctx, ask.Pod, s.bind(ctx, ask.Pod, decision.Node))
	}
	s.finish(w, err)
}

// decide decides and notes the outcome, so that two pods never get the same
// room. nil means that the pod waits no longer. displaced are less important
// pods that waited for the room that this one is to get.
func (s *scheduler) decide(w *waiting, ask schedule.Ask) (d *schedule.Decision, displaced []*corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.all[w.pod.UID] != w || w.state != deciding {
		return nil, nil
	}
	if ask.Pod != w.pod { // it has changed since
		w.state = resting
		s.queue.now(w)
		return nil, nil
	}
	a := s.forget(w)
	made := s.cluster.Decide(ask)
	w.state, w.failed = writing, made.Failed
	if made.Node == "" {
		if a != nil {
			s.wake(a.pod, nil)
		}
		if made.Nominated != "" && !made.Waits {
			displaced = s.displace(made.Nominated, w.pod)
		}
		s.nominate(w.pod, made.Nominated)
		return &made, displaced
	}
	if s.cluster.Nominated(w.pod) == made.Node {
		s.cluster.Nominate(w.pod, "") // it has its room now
	}
	given := *w.pod // its maps are shared, and never changed
	given.Spec.NodeName = made.Node
	s.cluster.SetPod(&given)
	s.nominate(w.pod, "")
	s.assumed[w.pod.UID] = &assumption{pod: &given, binding: len(made.Claims) == 0}
	if len(made.Claims) > 0 {
		w.failed = schedule.VolumeBinding // their change wakes it
	}
	return &made, nil
}

// displace lets less important pods that wait for room on a node look elsewhere,
// and returns them as they are now.
func (s *scheduler) displace(node string, by *corev1.Pod) []*corev1.Pod {
	displaced := s.cluster.Nominees(node, by)
	for i, p := range displaced {
		s.cluster.Nominate(p, "")
		if w := s.queue.all[p.UID]; w != nil {
			displaced[i] = w.pod
			free := *w.pod // its maps are shared, and never changed
			free.Status.NominatedNodeName = ""
			w.pod = &free
			s.queue.wake(w, s.env.Clock.Now())
		}
	}
	return displaced
}

// forget gives back what the pod was given for the time being.
func (s *scheduler) forget(w *waiting) *assumption {
	a := s.assumed[w.pod.UID]
	if a != nil {
		s.cluster.RemovePod(a.pod)
		delete(s.assumed, w.pod.UID)
	}
	return a
}

// finish lays a pod to rest. When something could not be written, what it was
// given is taken back and it is tried again.
func (s *scheduler) finish(w *waiting, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.all[w.pod.UID] != w || w.state != writing && w.state != deciding {
		return // it has its node, is gone, or has its next turn
	}
	now := s.env.Clock.Now()
	a := s.assumed[w.pod.UID]
	switch {
	case err != nil && !s.mine(w.pod): // it was deleted meanwhile, and something holds it
		s.leave(w.pod)
	case err != nil:
		if s.forget(w) != nil {
			s.nominate(w.pod, w.pod.Status.NominatedNodeName)
			s.wake(a.pod, nil)
		}
		w.failures++
		s.queue.restUntil(w, now.Add(backoff(10*time.Millisecond, w.failures)))
	case a != nil && a.binding: // until the cache knows
	default:
		s.queue.rest(w, now)
	}
}
