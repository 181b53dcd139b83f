package node

import (
	"context"

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

// Active are the pods that have not ended, also those of which nothing runs yet.
func (a *Agent) Active() []*corev1.Pod {
	var out []*corev1.Pod
	for _, w := range a.all() {
		w.mu.Lock()
		active := w.known && w.admitted && w.kill == nil && (w.last == nil || !podsync.Finished(w.last.Phase))
		w.mu.Unlock()
		if pod := w.latest(); active && pod != nil {
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
	if w.doom(kill) {
		a.event(w.shown(), "", corev1.EventTypeWarning, kill.Reason, kill.Message)
	}
	return w.quiet
}

// Shut ends a pod without an event and returns when its volumes are down and
// the API knows, or ctx ends.
func (a *Agent) Shut(ctx context.Context, uid types.UID, kill podsync.Kill) {
	w := a.find(uid)
	if w == nil {
		return
	}
	w.doom(kill)
	select {
	case <-w.down:
	case <-ctx.Done():
		return
	}
	w.mu.Lock()
	writer := w.writer
	w.mu.Unlock()
	writer.Flush(ctx)
}

// doom says why the pod ends, unless that was said before.
func (w *worker) doom(kill podsync.Kill) (first bool) {
	w.change(func() {
		if first = w.kill == nil; first {
			w.kill = &kill
		}
	})
	return first
}

// settled closes quiet once nothing of a pod that is ended runs, and down once
// its volumes are down, too.
func (w *worker) settled(status *corev1.PodStatus, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended := over || w.kill != nil && podsync.Finished(status.Phase)
	if ended && !w.hushed {
		w.hushed = true
		close(w.quiet)
	}
	if ended && (over || w.volumes.Gone) && !w.downed {
		w.downed = true
		close(w.down)
	}
}
