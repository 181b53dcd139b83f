package node

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/admit"
	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/resize"
)

// resizePace is how often a deferred resize is looked at when nothing happens
// that could make room for it.
const resizePace = 30 * time.Second

// allocate gives the pod the resources that it asks for if the node has them,
// and says when to look again if not. Only run calls it.
func (w *worker) allocate() (later time.Time) {
	w.mu.Lock()
	pod := w.asked
	if pod == nil || !w.known || !w.admitted || w.absent {
		w.mu.Unlock()
		return time.Time{}
	}
	if w.given == nil {
		given := resize.FromStatus(pod)
		w.given = &given
		w.adoptResources(pod)
		w.pod = given.Apply(pod)
	}
	given, before := *w.given, w.resize.Pending
	if !given.Wanted(pod) || pod.DeletionTimestamp != nil || podsync.Finished(pod.Status.Phase) {
		w.resize.Pending = nil
		w.mu.Unlock()
		return time.Time{}
	}
	w.mu.Unlock()

	a := w.agent
	a.admitting.Lock()
	defer a.admitting.Unlock()
	var pending *resize.Pending
	if node := a.cfg.Node(); node != nil {
		others := a.company(w)
		if pending = resize.Check(node, admit.Static(pod), pod, others); pending == nil && before != nil {
			if first := a.before(w, pod, node); first != nil {
				// What both wait for is the other's: it wakes us when it has it.
				first.poke()
				return a.cfg.Clock.Now().Add(resizePace)
			}
		}
	}
	if pending != nil {
		state := &podsync.ResizeState{Reason: pending.Reason, Message: pending.Message, Generation: pod.Generation}
		w.mu.Lock()
		w.resize.Pending = state
		w.mu.Unlock()
		if before == nil || *before != *state {
			a.event(pod, "", corev1.EventTypeWarning, "Resize"+pending.Reason, resize.Message(pending.Reason, pod, pending.Message))
		}
		if pending.Reason == corev1.PodReasonDeferred {
			return a.cfg.Clock.Now().Add(resizePace)
		}
		return time.Time{}
	}
	now := resize.Of(pod)
	w.mu.Lock()
	w.given, w.pod = &now, pod
	w.count() // before another pod is looked at
	w.resize = podsync.Resize{Progress: &podsync.ResizeState{Generation: pod.Generation}}
	for id := range w.containers {
		delete(w.waits, podsync.ResizeKey(id))
	}
	w.mu.Unlock()
	a.event(pod, "", corev1.EventTypeNormal, "ResizeStarted", resize.Message("started", pod, ""))
	if err := limitCgroup(a.cgroup(pod), podspec.PodResources(pod), false); err != nil {
		a.event(pod, "", corev1.EventTypeWarning, "ResizeError", resize.Message("error", pod, err.Error()))
	}
	a.room()
	return time.Time{}
}

// before is a pod that waits, too, that the node has room for, and that comes first.
func (a *Agent) before(w *worker, pod *corev1.Pod, node *corev1.Node) *worker {
	var first *worker
	best := pod
	for _, other := range a.all() {
		other.mu.Lock()
		asks, waits := other.asked, other.resize.Pending != nil && other.resize.Pending.Reason == corev1.PodReasonDeferred && !other.absent
		other.mu.Unlock()
		if other != w && waits && resize.Before(asks, best) && resize.Check(node, admit.Static(asks), asks, a.company(other)) == nil {
			first, best = other, asks
		}
	}
	return first
}

// room wakes the pods that wait for resources.
func (a *Agent) room() {
	a.sharesMoved()
	for _, w := range a.all() {
		w.mu.Lock()
		waits := w.resize.Pending != nil
		w.mu.Unlock()
		if waits {
			w.poke()
		}
	}
}

// adoptResources takes what an earlier agent wrote about running containers.
// The lock is held.
func (w *worker) adoptResources(pod *corev1.Pod) {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			for id := range w.containers {
				if list[i].ContainerID == w.agent.runtime+"://"+id && list[i].Resources != nil {
					w.actual[id] = *list[i].Resources
				}
			}
		}
	}
}

// completed ends a resize that every container has. The lock is held.
func (w *worker) completed(all bool) bool {
	if !all || w.resize.Progress == nil {
		return false
	}
	w.resize.Progress = nil
	return true
}

// resizeContainer changes what a running container runs with.
func (w *worker) resizeContainer(pod *corev1.Pod, action podsync.Action) {
	err := w.applyResources(pod, action)
	w.change(func() {
		delete(w.busy.Resizes, action.ID)
		progress := podsync.ResizeState{Generation: pod.Generation}
		if err != nil {
			w.waits[podsync.ResizeKey(action.ID)] = w.agent.cfg.Clock.Now().Add(podsync.RetryDelay)
			progress.Reason, progress.Message = corev1.PodReasonError, err.Error()
		} else if c := containerNamed(pod, action.Container); c != nil {
			w.actual[action.ID] = c.Resources
		}
		if w.resize.Progress != nil {
			w.resize.Progress = &progress
		}
	})
	if err != nil && w.ctx.Err() == nil {
		w.agent.event(pod, "", corev1.EventTypeWarning, "ResizeError", resize.Message("error", pod, err.Error()))
	}
}

func (w *worker) applyResources(pod *corev1.Pod, action podsync.Action) error {
	c := containerNamed(pod, action.Container)
	if c == nil {
		return fmt.Errorf("the pod has no container %s", action.Container)
	}
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	wanted := podspec.ContainerResources(c)
	if err := w.roomInMemory(ctx, action.ID, wanted.Memory); err != nil {
		return err
	}
	// The pod's own limits were widened before this, and are narrowed once every
	// container has what it was given.
	_, err := w.agent.cri.UpdateContainerResources(ctx, &runtimeapi.UpdateContainerResourcesRequest{
		ContainerId: action.ID, Linux: cri.Resources(wanted),
	})
	return err
}

// roomInMemory refuses a limit that the container is over already: the kernel
// would kill it.
func (w *worker) roomInMemory(ctx context.Context, id string, limit int64) error {
	if limit <= 0 {
		return nil
	}
	stats, err := w.agent.cri.ContainerStats(ctx, &runtimeapi.ContainerStatsRequest{ContainerId: id})
	if err != nil {
		return fmt.Errorf("asking for the container's memory: %w", err)
	}
	if used := stats.GetStats().GetMemory().GetWorkingSetBytes().GetValue(); used >= uint64(limit) {
		return fmt.Errorf("attempting to set container memory limit (%d) below current usage (%d)", limit, used)
	}
	return nil
}
