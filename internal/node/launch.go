package node

import (
	"context"
	"time"

	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// retryAfter is how long a failed stop or removal is left alone.
const retryAfter = time.Second

// launch runs an action beside the worker.
func (w *worker) launch(pod *corev1.Pod, action podsync.Action) {
	var do func()
	switch action.Kind {
	case podsync.MountVolumes:
		do = func() { w.mount(pod) }
	case podsync.UnmountVolumes:
		do = func() { w.unmount(pod) }
	case podsync.CreateSandbox:
		do = func() { w.createSandbox(pod, action) }
	case podsync.StartContainer:
		do = func() { w.startContainer(pod, action) }
	case podsync.StopContainer:
		do = func() { w.stopContainer(pod, action) }
	case podsync.RunPreStop:
		do = w.runPreStop(pod, action)
	case podsync.StopSandbox:
		do = func() { w.stopSandbox(pod, action) }
	case podsync.RemoveSandbox:
		do = func() { w.removeSandbox(action) }
	case podsync.RemoveContainer:
		do = func() { w.removeContainer(action) }
	case podsync.ResizeContainer:
		do = func() { w.resizeContainer(pod, action) }
	case podsync.DeletePod:
		do = func() { w.deletePod(pod) }
	default:
		return
	}
	w.agent.ops.Go(do)
}

// settle ends an action that is tried again after a while when it failed.
func (w *worker) settle(key string, err error, f func()) {
	name := ""
	w.change(func() {
		name = w.pod.Namespace + "/" + w.pod.Name
		delete(w.busy.Removes, key)
		delete(w.waits, key)
		if err != nil {
			w.waits[key] = w.agent.cfg.Clock.Now().Add(retryAfter)
		}
		f()
	})
	if err != nil && w.ctx.Err() == nil {
		w.agent.cfg.Log.Warn("work for a pod failed, trying again", "pod", name, "about", key, "error", err)
	}
}

func (w *worker) mount(pod *corev1.Pod) {
	paths, err := w.agent.cfg.Volumes.Setup(w.going, pod)
	stopped := w.going.Err() != nil
	w.change(func() {
		w.busy.Volumes = false
		switch {
		case err == nil:
			w.volumes.Ready, w.volumes.Failure, w.paths = true, nil, paths
			w.retryConfig()
		case !w.volumes.Ready && !stopped:
			w.volumes.Failure = podsync.FailedMounting(w.volumes.Failure, err.Error(), w.agent.cfg.Clock.Now())
		}
	})
	if err == nil || stopped {
		return
	}
	for _, one := range each(err) {
		w.agent.event(pod, "", corev1.EventTypeWarning, podsync.MountReason(one.Error()), one.Error())
	}
}

// retryConfig lets containers be tried again whose configuration was wrong: they
// may have lacked a volume. The lock is held.
func (w *worker) retryConfig() {
	for name, r := range w.records {
		if r.Failure != nil && r.Failure.Reason == podsync.CreateContainerConfigError {
			r.Failure = nil
			w.records[name] = r
		}
	}
}

// each takes joined errors apart; what one of them says of its cause stays whole.
func each(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) // one further down has words around it
	if !ok {
		return []error{err}
	}
	var out []error
	for _, one := range joined.Unwrap() {
		out = append(out, each(one)...)
	}
	return out
}

func (w *worker) unmount(pod *corev1.Pod) {
	err := w.agent.cfg.Volumes.TearDown(w.ctx, pod.UID)
	tell := false
	w.settle("volumes", err, func() {
		w.busy.Volumes = false
		w.volumes.Gone = err == nil
		if err != nil {
			w.waits["volumes"], tell = w.stays.next(err.Error(), w.agent.cfg.Clock.Now())
		}
	})
	if !tell || w.ctx.Err() != nil {
		return
	}
	for _, one := range each(err) {
		w.agent.event(pod, "", corev1.EventTypeWarning, podsync.FailedUnMount, one.Error())
	}
}

// stays is what is known of volumes that cannot be taken down.
type stays struct {
	tries int
	said  string
	when  time.Time
}

// next says when to try again, and whether to tell of it: what is as it was is told
// of as seldom as a mount that fails.
func (s *stays) next(why string, now time.Time) (again time.Time, tell bool) {
	const longest, seldom = 10 * retryAfter, 2 * time.Minute
	again = now.Add(min(retryAfter<<min(s.tries, 8), longest))
	s.tries++
	if tell = why != s.said || now.Sub(s.when) >= seldom; tell {
		s.said, s.when = why, now
	}
	return again, tell
}

func (w *worker) stopSandbox(pod *corev1.Pod, action podsync.Action) {
	if action.Why == podsync.SandboxDied {
		w.agent.event(pod, "", corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	_, err := w.agent.cri.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: action.ID})
	w.unkilled(pod, "KillPodSandbox", string(w.uid), err)
	w.settle(action.ID, err, func() {
		if err == nil {
			w.stopped[action.ID] = true
			if sb, ok := w.sandboxes[action.ID]; ok {
				sb.Ready = false
				w.sandboxes[action.ID] = sb
			}
		}
	})
}

func (w *worker) removeSandbox(action podsync.Action) {
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	_, err := w.agent.cri.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: action.ID})
	if err == nil {
		w.forget(action.ID)
	}
	w.settle(action.ID, err, func() {})
}

func (w *worker) removeContainer(action podsync.Action) {
	w.mu.Lock()
	record := w.containers[action.ID]
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	_, err := w.agent.cri.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: action.ID})
	if err == nil {
		w.agent.removeFiles(record)
		w.forget(action.ID)
	}
	w.settle(action.ID, err, func() {})
}

// deletePod tells the API that nothing of the pod runs any more.
func (w *worker) deletePod(pod *corev1.Pod) {
	w.writer.Flush(w.ctx)
	now, uid := int64(0), pod.UID
	err := w.agent.cfg.Client.CoreV1().Pods(pod.Namespace).Delete(w.ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		err = nil
	}
	w.settle("delete", err, func() {
		w.busy.Delete = false
		w.deleted = err == nil
	})
}
