package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podsync"
)

// prove says which container's start is not known to be good yet, none if empty:
// nobody is told that it runs.
func (w *worker) prove(container string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unproven = container
}

// phaseOf is what a container counts as. The lock is held.
func (w *worker) phaseOf(r cri.Record) podsync.Phase {
	if r.ID == w.unproven {
		return podsync.Created
	}
	return r.Phase
}

// networkClear has the first start in a sandbox wait until it is known that its
// network is nobody else's, before the container counts as running. If it is, the
// sandbox goes with the container that was started meanwhile, and is made again as
// one whose network could not be had.
func (w *worker) networkClear(pod *corev1.Pod, sandbox, container string) error {
	if w.agent.cfg.NetworkClear == nil {
		return nil
	}
	err := w.agent.cfg.NetworkClear(w.going, sandbox)
	if w.going.Err() != nil {
		return w.going.Err()
	}
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	message := lasting(err.Error())
	w.agent.event(pod, "", corev1.EventTypeWarning, podsync.FailedSandbox, "Failed to create pod sandbox: "+message)
	if _, err := w.agent.cri.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: container}); err == nil {
		w.forget(container)
	}
	_, err = w.agent.cri.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox})
	w.change(func() {
		w.sandboxRec.Failure = podsync.FailedCreatingSandbox(w.sandboxRec.Failure, message, w.agent.cfg.Clock.Now())
		if sb, ok := w.sandboxes[sandbox]; ok && err == nil {
			w.stopped[sandbox], sb.Ready = true, false
			w.sandboxes[sandbox] = sb
		}
	})
	return errSandboxEnded
}
