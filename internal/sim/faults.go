package sim

import (
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
)

// Faults are what goes wrong, as probabilities from 0 to 1.
type Faults struct {
	// Per write of a loop: the process dies before or after it; it meets a
	// conflict; the server fails before it or loses the answer after it.
	Crash, Conflict, Error float64
	// Per step: caches stand still; a watch is lost and lists again; the process
	// restarts between two reconciles; a container becomes unready or its pod
	// fails; a node falls silent or comes back.
	Stale, Relist, Restart, Container, Silent float64
	// Per step: somebody deletes a pod.
	DeletePod float64
}

// AllFaults is a bad day.
var AllFaults = Faults{
	Crash: 0.01, Conflict: 0.02, Error: 0.02,
	Stale: 0.5, Relist: 0.005, Restart: 0.003, Container: 0.01, Silent: 0.005, DeletePod: 0.005,
}

// chance is true with probability p.
func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }

// NodesBack ends the silence of every node.
func (s *Sim) NodesBack() {
	for _, n := range s.nodes {
		n.silent = false
	}
}

// strike lets the faults of one step happen.
func (s *Sim) strike() {
	f := s.faults
	if chance(s.rand, f.Restart) {
		s.log("fault: the process restarts")
		s.startLoops()
	}
	if chance(s.rand, f.Relist) {
		if kinds := s.heldKinds(); len(kinds) > 0 {
			s.relist(kinds[s.rand.IntN(len(kinds))])
		}
	}
	if chance(s.rand, f.Silent) {
		n := s.nodes[s.rand.IntN(len(s.nodes))]
		n.silent = !n.silent
		s.log("fault: %s silent: %t", n.name, n.silent)
	}
	if chance(s.rand, f.Container) {
		s.failContainer()
	}
	if chance(s.rand, f.DeletePod) {
		if pods := s.pods(); len(pods) > 0 {
			pod := pods[s.rand.IntN(len(pods))]
			s.log("fault: somebody deletes pod %s", pod.Name)
			s.ignore(s.API().Delete(s.ctx, pod.DeepCopy()))
		}
	}
}

// failContainer makes a running pod unready, or fails it for good.
func (s *Sim) failContainer() {
	var running []*corev1.Pod
	for _, pod := range s.pods() {
		if n := s.node(pod); n != nil && !n.silent && pod.Status.Phase == corev1.PodRunning {
			running = append(running, pod)
		}
	}
	if len(running) == 0 {
		return
	}
	pod := running[s.rand.IntN(len(running))].DeepCopy()
	if chance(s.rand, 0.5) {
		s.log("fault: pod %s becomes unready", pod.Name)
		setCondition(pod, corev1.PodReady, corev1.ConditionFalse, s.clock.Now())
	} else {
		s.log("fault: pod %s fails", pod.Name)
		pod.Status.Phase = corev1.PodFailed
		setCondition(pod, corev1.PodReady, corev1.ConditionFalse, s.clock.Now())
		delete(s.node(pod).running, pod.UID)
	}
	s.putStatus(pod)
}

func (s *Sim) ignore(error) {}
