package node

import (
	"context"
	"fmt"
	"math"
	"time"

	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// stopContainer runs the preStop hook and stops the container. A later request
// with a shorter grace overtakes it.
func (w *worker) stopContainer(pod *corev1.Pod, action podsync.Action) {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	w.mu.Lock()
	overtaken := w.stops[action.ID]
	w.stops[action.ID] = cancel
	w.mu.Unlock()
	if overtaken != nil {
		overtaken()
	} else {
		w.agent.event(pod, action.Container, corev1.EventTypeNormal, "Killing", action.Message)
	}

	grace := time.Duration(action.Grace) * time.Second
	began := w.agent.cfg.Clock.Now()
	w.mu.Lock()
	hooked := w.hooked[action.ID]
	w.mu.Unlock()
	switch {
	case action.Why == podsync.RestartingAll:
	case hooked != nil:
		// It was begun before this container's turn; what time it had is over soon.
		awaitFor(ctx, hooked, w.agent.cfg.Clock.After(grace))
	case overtaken == nil:
		w.preStop(ctx, pod, action, grace)
	}
	if ctx.Err() == nil {
		left := grace - w.agent.cfg.Clock.Since(began)
		err := w.halt(ctx, action.ID, max(left, 2*time.Second))
		if ctx.Err() == nil {
			w.unkilled(pod, "KillContainer", action.Container, err)
			w.settle(action.ID, err, func() {
				delete(w.busy.Stops, action.ID)
				delete(w.stops, action.ID)
			})
		}
	}
}

// unkilled tells that a pod that is to end does not.
func (w *worker) unkilled(pod *corev1.Pod, what, of string, err error) {
	w.mu.Lock()
	ends := w.pod.DeletionTimestamp != nil || w.kill != nil
	w.mu.Unlock()
	if err == nil || !ends || w.ctx.Err() != nil {
		return
	}
	w.agent.event(pod, "", corev1.EventTypeWarning, "FailedKillPod", fmt.Sprintf("error killing pod: failed to %q for %q with %sError: %q", what, of, what, err))
}

// preStop runs the hook of a container that is to stop, if it has one.
func (w *worker) preStop(ctx context.Context, pod *corev1.Pod, action podsync.Action, grace time.Duration) {
	c := containerNamed(pod, action.Container)
	if c == nil || c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		return
	}
	if err := w.hook(ctx, pod, c.Lifecycle.PreStop, c, action.ID, grace); err != nil && ctx.Err() == nil {
		w.agent.event(pod, action.Container, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
	}
}

// runPreStop runs the hook of a container whose turn to stop has not come. It is
// known at once, so that the stop waits for it.
func (w *worker) runPreStop(pod *corev1.Pod, action podsync.Action) func() {
	ended := make(chan struct{})
	w.mu.Lock()
	w.hooked[action.ID] = ended
	w.mu.Unlock()
	return func() {
		defer close(ended)
		w.preStop(w.ctx, pod, action, time.Duration(action.Grace)*time.Second)
	}
}

// awaitFor waits until one of them happens.
func awaitFor(ctx context.Context, done <-chan struct{}, over <-chan time.Time) {
	select {
	case <-done:
	case <-over:
	case <-ctx.Done():
	}
}

// halt sends SIGTERM, waits, sends SIGKILL, and takes the outcome in.
func (w *worker) halt(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+callTimeout)
	defer cancel()
	_, err := w.agent.cri.StopContainer(ctx, &runtimeapi.StopContainerRequest{
		ContainerId: id, Timeout: int64(math.Ceil(grace.Seconds())),
	})
	w.mu.Lock()
	record := w.containers[id]
	w.mu.Unlock()
	if record.Phase != podsync.Exited {
		w.agent.refresh(ctx, w, record.SandboxID, id)
	}
	return err
}
