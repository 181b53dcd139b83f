package node

import (
	"context"
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
	if c := containerNamed(pod, action.Container); overtaken == nil && c != nil && c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		err := w.hook(ctx, pod, c.Lifecycle.PreStop, c, action.ID, grace)
		if err != nil && ctx.Err() == nil {
			w.agent.event(pod, action.Container, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
		}
	}
	if ctx.Err() == nil {
		left := grace - w.agent.cfg.Clock.Since(began)
		err := w.halt(ctx, action.ID, max(left, 2*time.Second))
		if ctx.Err() == nil {
			w.settle(action.ID, err, func() {
				delete(w.busy.Stops, action.ID)
				delete(w.stops, action.ID)
			})
		}
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
