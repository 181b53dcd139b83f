package node

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/podsync"
)

// Running are the pods that the node has taken and that have not ended.
func (a *Agent) Running() []*corev1.Pod {
	var out []*corev1.Pod
	for _, w := range a.all() {
		w.mu.Lock()
		runs := w.known && w.admitted && !w.absent && w.kill == nil && w.pod.DeletionTimestamp == nil &&
			(w.last == nil || !podsync.Finished(w.last.Phase)) && len(w.containers) > 0
		w.mu.Unlock()
		if pod := w.latest(); runs && pod != nil {
			out = append(out, pod)
		}
	}
	return out
}

// End ends a pod that the API does not ask to end, and tells why. The channel is
// closed when nothing of it runs any more.
func (a *Agent) End(uid types.UID, kill podsync.Kill) <-chan struct{} {
	w := a.find(uid)
	if w == nil {
		over := make(chan struct{})
		close(over)
		return over
	}
	told := false
	w.change(func() {
		if told = w.kill != nil; !told {
			w.kill = &kill
		}
	})
	if !told {
		a.event(w.shown(), "", corev1.EventTypeWarning, kill.Reason, kill.Message)
	}
	return w.quiet
}

// settled closes quiet once nothing of a pod that is ended runs.
func (w *worker) settled(status *corev1.PodStatus, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.hushed && (over || w.kill != nil && podsync.Finished(status.Phase)) {
		w.hushed = true
		close(w.quiet)
	}
}
