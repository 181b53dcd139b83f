package node

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
	planprobe "berth.dev/berth/internal/plan/probe"
	"berth.dev/berth/internal/plan/resize"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// run decides whenever something has changed, until nothing of the pod is left
// or the agent ends.
func (w *worker) run() {
	defer w.stopProbes()
	w.timer = w.agent.cfg.Clock.NewTimer(time.Hour)
	defer func() { w.timer.Stop() }()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wake:
		case <-w.timer.C():
		}
		if w.sync() {
			w.tellEnd()
			w.clean()
			if f := w.agent.cfg.Fence; f != nil {
				f.Forget(string(w.uid))
			}
			w.agent.drop(w)
			w.agent.room()
			return
		}
	}
}

// sync decides once; true means that the pod is over.
func (w *worker) sync() bool {
	w.lookForImages()
	w.fence()
	later := w.allocate()
	w.mu.Lock()
	if !w.absent && !w.admitted {
		w.mu.Unlock()
		return false // the API has not spoken yet, or the node has not looked
	}
	w.rebuild()
	w.followProbes()
	state := w.state()
	plan := podsync.Decide(state)
	w.last = &plan.Status
	w.count()
	completed := w.completed(plan.Resized)
	pod, announce := w.pod, w.known && !w.absent
	shown := pod
	if w.static {
		shown, announce = w.mirror, w.mirror != nil
		w.writeTo(w.mirror)
	}
	for _, action := range plan.Actions {
		w.begin(action)
	}
	remount, ports := w.remount(), w.wantedPorts()
	w.mu.Unlock()
	retry := earlier(w.mapPorts(pod, ports), later)
	if completed {
		if err := limitCgroup(w.agent.cgroup(pod), podspec.PodResources(pod), true); err != nil {
			w.agent.cfg.Log.Warn("limiting a pod's cgroup failed", "pod", pod.Namespace+"/"+pod.Name, "error", err)
		}
		w.agent.event(pod, "", corev1.EventTypeNormal, "ResizeCompleted", resize.Message("completed", pod, ""))
	}

	if plan.Ending {
		w.end()
		w.stopKilling()
	}
	// The status goes first: others wait for it.
	if announce {
		w.writer.Set(w.ctx, shown, plan.Status)
	}
	for _, action := range plan.Actions {
		w.launch(pod, action)
	}
	if remount {
		w.launch(pod, podsync.Action{Kind: podsync.MountVolumes})
	}
	w.settled(&plan.Status, plan.Over)
	w.tell(pod, plan.Holds)
	plan.Again = earlier(plan.Again, retry)
	w.again(w.soonest(plan))
	return plan.Over
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// imagePace is how often a missing image is looked for: it may be imported by
// hand while its pull is backing off.
const imagePace = 2 * time.Second

func lacksImage(reason string) bool {
	return reason == podsync.ErrImagePull || reason == podsync.ImagePullBackOff || reason == podsync.ErrImageNeverPull
}

// soonest is when to decide again, or to look for images.
func (w *worker) soonest(plan podsync.Plan) time.Time {
	w.look = time.Time{}
	for _, h := range plan.Holds {
		if lacksImage(h.Reason) && w.look.IsZero() {
			w.look = w.agent.cfg.Clock.Now().Add(imagePace)
		}
	}
	if w.look.IsZero() || !plan.Again.IsZero() && plan.Again.Before(w.look) {
		return plan.Again
	}
	return w.look
}

// lookForImages forgets failures of containers whose image has come meanwhile.
func (w *worker) lookForImages() {
	if w.look.IsZero() || w.agent.cfg.Clock.Now().Before(w.look) {
		return
	}
	w.mu.Lock()
	pod, missing, images := w.pod, map[string]bool{}, map[string]string{}
	for name, r := range w.records {
		if c := containerNamed(pod, name); c != nil && r.Failure != nil && lacksImage(r.Failure.Reason) && c.ImagePullPolicy != corev1.PullAlways {
			missing[name], images[name] = false, cmp.Or(r.Failure.Image, c.Image)
		}
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	for name := range missing {
		missing[name] = w.agent.images.Present(ctx, images[name])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, found := range missing {
		if r := w.records[name]; found {
			r.Failure = nil
			w.records[name] = r
		}
	}
}

// again sets the timer.
func (w *worker) again(at time.Time) {
	w.timer.Stop()
	wait := time.Hour
	if !at.IsZero() {
		wait = max(at.Sub(w.agent.cfg.Clock.Now()), time.Millisecond)
	}
	w.timer = w.agent.cfg.Clock.NewTimer(wait)
}

// state is what podsync may know. The lock is held.
func (w *worker) state() podsync.State {
	s := podsync.State{
		Pod: w.pod, Last: w.last, Now: w.agent.cfg.Clock.Now(),
		Node:    podsync.Node{IPs: w.agent.hostIPs(), Runtime: w.agent.runtime, RecursiveReadOnly: w.agent.canRecursiveReadOnly()},
		Volumes: w.volumes, Records: w.records, SandboxRecord: w.sandboxRec,
		Probes: w.probes, Busy: w.busy, Absent: w.absent, Deleted: w.deleted,
		Stopped: w.stopped, Waits: w.waits, Kill: w.kill, Resize: w.resize,
	}
	for _, sb := range w.sandboxes {
		s.Sandboxes = append(s.Sandboxes, sb)
	}
	for id, c := range w.containers {
		if with, known := w.actual[id]; known {
			c.Resources = &with
		}
		c.Phase = w.phaseOf(c)
		s.Containers = append(s.Containers, c.Container)
	}
	return s
}

// remount is true when volumes that are up have to be brought up to date.
func (w *worker) remount() bool {
	if w.mounts == 0 || !w.volumes.Ready || w.busy.Volumes || w.absent || w.pod.DeletionTimestamp != nil {
		return false
	}
	w.mounts = 0
	w.busy.Volumes = true
	return true
}

// begin marks an action as under way. The lock is held.
func (w *worker) begin(a podsync.Action) {
	switch a.Kind {
	case podsync.MountVolumes, podsync.UnmountVolumes:
		w.busy.Volumes = true
	case podsync.CreateSandbox:
		w.busy.Sandbox = true
	case podsync.StartContainer:
		w.busy.Start = a.Container
	case podsync.StopContainer:
		w.busy.Stops[a.ID] = a.Grace
		if a.Why.Replaces() {
			r := w.records[a.Container]
			r.Condemned = podsync.Condemned{ID: a.ID, Why: a.Why}
			w.records[a.Container] = r
		}
	case podsync.StopSandbox, podsync.RemoveSandbox, podsync.RemoveContainer:
		w.busy.Removes[a.ID] = true
	case podsync.RunPreStop:
		w.busy.Hooked[a.ID] = true
	case podsync.ResizeContainer:
		w.busy.Resizes[a.ID] = true
	case podsync.DeletePod:
		w.busy.Delete = true
	}
}

// tell records an event for each hold that is new.
func (w *worker) tell(pod *corev1.Pod, holds []podsync.Hold) {
	for _, h := range holds {
		key := h.Container + "/" + h.Reason
		if h.Container == "" || w.said[key].Equal(h.Until) {
			continue
		}
		w.said[key] = h.Until
		switch h.Reason {
		case podsync.CrashLoopBackOff:
			w.agent.event(pod, h.Container, corev1.EventTypeWarning, "BackOff",
				fmt.Sprintf("Back-off restarting failed container %s in pod %s", h.Container, podsync.PodName(pod)))
		case podsync.ImagePullBackOff:
			w.agent.event(pod, h.Container, corev1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", h.Image))
			w.agent.event(pod, h.Container, corev1.EventTypeWarning, "Failed", "Error: "+podsync.ImagePullBackOff)
		}
	}
}

// knowsSandbox says whether a listed sandbox tells nothing new.
func (w *worker) knowsSandbox(id string, ready bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	sb, ok := w.sandboxes[id]
	return w.forgotten[id] || ok && sb.Ready == ready
}

// knowsContainer says whether a listed container tells nothing new.
func (w *worker) knowsContainer(id string, state runtimeapi.ContainerState) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.containers[id]
	if !ok {
		return w.forgotten[id]
	}
	switch state {
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		return true
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		return c.Phase != podsync.Created
	default:
		return c.Phase == podsync.Exited
	}
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if e := &pod.Spec.EphemeralContainers[i]; e.Name == name {
			c := corev1.Container(e.EphemeralContainerCommon)
			return &c
		}
	}
	return nil
}

// inherited are the verdicts an earlier agent wrote about this very container.
func inherited(pod *corev1.Pod, prefix, id string) planprobe.Verdicts {
	var v planprobe.Verdicts
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			if list[i].ContainerID != prefix+"://"+id || list[i].State.Running == nil {
				continue
			}
			if list[i].Started != nil && *list[i].Started {
				v.Startup = planprobe.Success
			}
			if list[i].Ready {
				v.Readiness = planprobe.Success
			}
		}
	}
	return v
}
