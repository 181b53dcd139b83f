package node

import (
	"errors"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/nodeloss"
	"berth.dev/berth/internal/plan/podsync"
)

// Fence kills pods that the control plane may replace elsewhere once this node is
// not heard from, by their control groups, also when the agent is dead.
type Fence interface {
	Cover(uid, cgroup string)
	Uncover(uid string)
	// Forget drops a pod of which nothing runs.
	Forget(uid string)
	// Dead reports whether nothing of the pod may run here any more.
	Dead(uid string) bool
}

var errFenced = errors.New("the node was not heard from in time: the pod may run elsewhere")

// fence covers a pod that asks for it, and ends one whose time has come.
func (w *worker) fence() {
	f := w.agent.cfg.Fence
	if f == nil {
		return
	}
	w.mu.Lock()
	pod, known, over := w.pod, w.known && w.admitted, w.kill != nil
	w.mu.Unlock()
	uid := string(w.uid)
	if known && nodeloss.Marked(pod) {
		f.Cover(uid, w.agent.cgroup(pod))
	} else if known {
		f.Uncover(uid)
	}
	if !over && w.fenced() {
		now := int64(0)
		w.agent.End(w.uid, podsync.Kill{
			Phase: corev1.PodFailed, Reason: nodeloss.Fenced, Message: "The node did not renew its lease in time, so the pod was stopped: it may have been replaced elsewhere.", Grace: &now,
		})
	}
}

// fenced is whether nothing of the pod may be started any more.
func (w *worker) fenced() bool {
	return w.agent.cfg.Fence != nil && w.agent.cfg.Fence.Dead(string(w.uid))
}

// FenceChanged has all pods look at the fence.
func (a *Agent) FenceChanged() {
	for _, w := range a.all() {
		w.poke()
	}
}
