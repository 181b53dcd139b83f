package node

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/admit"
	"berth.dev/berth/internal/plan/podsync"
)

// freshTimeout is how long the API may take to show the node as it is now.
const freshTimeout = 5 * time.Second

// taken is true for a pod that needs no look: it was taken before, or it is on
// its way out.
func taken(pod *corev1.Pod) bool {
	return pod.Status.StartTime != nil || pod.DeletionTimestamp != nil || podsync.Finished(pod.Status.Phase)
}

// admitAll looks at the pods that waited for the others to be known, the oldest first.
func (a *Agent) admitAll() {
	waiting := slices.DeleteFunc(a.all(), func(w *worker) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.known || w.admitted
	})
	slices.SortFunc(waiting, func(x, y *worker) int {
		p, q := x.shown(), y.shown()
		return cmp.Or(p.CreationTimestamp.Compare(q.CreationTimestamp.Time), cmp.Compare(p.Namespace, q.Namespace), cmp.Compare(p.Name, q.Name))
	})
	for _, w := range waiting {
		a.admit(w, w.shown())
	}
}

// admit takes a pod, or has it fail.
func (a *Agent) admit(w *worker, pod *corev1.Pod) {
	a.admitting.Lock()
	defer a.admitting.Unlock()
	if w.looked() || w.isPromised() {
		return
	}
	var refused *admit.Refusal
	var victims []*corev1.Pod
	if !taken(pod) && !w.begun() {
		refused, victims = a.refusal(w, pod)
	}
	if len(victims) > 0 {
		w.change(func() { w.promised = true })
		a.ops.Go(func() { a.makeRoom(w, victims) })
		return
	}
	if refused != nil {
		a.event(pod, "", corev1.EventTypeWarning, refused.Reason, refused.Message)
	}
	w.change(func() {
		w.admitted = true
		if refused != nil {
			w.kill = &podsync.Kill{Phase: corev1.PodFailed, Reason: refused.Reason, Message: "Pod was rejected: " + refused.Message, Refused: true}
		}
	})
}

// makeRoom takes a critical pod when those that have its resources have ended.
func (a *Agent) makeRoom(w *worker, victims []*corev1.Pod) {
	var ended []<-chan struct{}
	for _, v := range victims {
		ended = append(ended, a.End(v.UID, admit.Preempted()))
	}
	for _, over := range ended {
		if !await(w.ctx, over) {
			return
		}
	}
	w.change(func() { w.admitted, w.promised = true, false })
}

// refusal looks again with a fresh node before it refuses for what others may
// have changed. A critical pod that only lacks resources is not refused: it
// names the pods that have to go.
func (a *Agent) refusal(w *worker, pod *corev1.Pod) (*admit.Refusal, []*corev1.Pod) {
	node := admit.Node{Object: a.cfg.Node(), OS: runtime.GOOS, UnsafeSysctls: a.cfg.UnsafeSysctls, Pressure: a.cfg.Pressure(), Closing: a.cfg.Closing(), AppArmor: appArmor()}
	if node.Object == nil {
		return nil, nil
	}
	if a.beside(node, pod) == nil {
		return nil, nil
	}
	// What is refused fails for good, so all are looked at.
	others := a.company(w)
	refused := admit.Check(node, pod, others)
	if refused != nil && refused.Stale {
		ctx, cancel := context.WithTimeout(w.ctx, freshTimeout)
		defer cancel()
		fresh, err := a.cfg.Client.CoreV1().Nodes().Get(ctx, a.cfg.NodeName, metav1.GetOptions{})
		if err != nil {
			return refused, nil
		}
		node.Object = fresh
		refused = admit.Check(node, pod, others)
	}
	if refused != nil && refused.Lacking && admit.Critical(pod) {
		victims, why := admit.Preempt(node, pod, others)
		return why, victims
	}
	return refused, nil
}

// company are the other pods that take something of the node.
func (a *Agent) company(of *worker) []*corev1.Pod {
	var others []*corev1.Pod
	for _, w := range a.all() {
		if w == of {
			continue
		}
		w.mu.Lock()
		counts, pod := w.counts(), w.pod
		w.mu.Unlock()
		if counts {
			others = append(others, pod)
		}
	}
	return others
}

// counts is true while the pod takes something of the node. The lock is held.
func (w *worker) counts() bool {
	return w.known && (w.admitted || w.promised) && !w.absent && !w.deleted && !podsync.Finished(w.pod.Status.Phase) &&
		(w.last == nil || !podsync.Finished(w.last.Phase)) && (w.kill == nil || !w.kill.Refused)
}

// count keeps the node's tally up to date. The lock is held.
func (w *worker) count() {
	if w.uncounted {
		return
	}
	a := w.agent
	a.counting.Lock()
	defer a.counting.Unlock()
	if w.counts() {
		a.tally.Set(w.uid, w.pod)
	} else {
		a.tally.Drop(w.uid)
	}
}

// uncount ends that for good.
func (w *worker) uncount() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uncounted = true
	w.agent.counting.Lock()
	defer w.agent.counting.Unlock()
	w.agent.tally.Drop(w.uid)
}

// beside looks at the node's tally.
func (a *Agent) beside(node admit.Node, pod *corev1.Pod) *admit.Refusal {
	a.counting.Lock()
	defer a.counting.Unlock()
	return a.tally.Beside(node, pod)
}

// isPromised is true while others end to make room for the pod.
func (w *worker) isPromised() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.promised
}

// shown is the pod as the API last showed it.
func (w *worker) shown() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod
}

// begun is true when the runtime has something of the pod.
func (w *worker) begun() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sandboxes) > 0 || len(w.containers) > 0
}
