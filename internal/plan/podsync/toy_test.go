package podsync_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/probe"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// toy is a node with one pod: it keeps the state that Decide sees, begins its
// actions and finishes them when told to.
type toy struct {
	podsync.State
	pending []podsync.Action
	next    int
	failing map[string]string // container name -> reason it cannot start
	broken  bool              // volumes cannot be mounted
	log     []string
}

func newToy(pod *corev1.Pod) *toy {
	t := &toy{failing: map[string]string{}}
	t.State = podsync.State{
		Pod: pod, Now: epoch, Node: podsync.Node{IPs: []string{"192.0.2.1"}, Runtime: "toy"},
		Records: map[string]podsync.Record{}, Probes: map[string]probe.Verdicts{},
		Busy:    podsync.Busy{Stops: map[string]int64{}, Removes: map[string]bool{}, Resizes: map[string]bool{}, Hooked: map[string]bool{}},
		Stopped: map[string]bool{}, Waits: map[string]time.Time{},
	}
	return t
}

// decide runs Decide and begins what it asks for.
func (t *toy) decide() podsync.Plan {
	plan := podsync.Decide(t.State)
	t.Last = &plan.Status
	if plan.Resized {
		t.Resize.Progress = nil
	}
	for _, a := range plan.Actions {
		t.log = append(t.log, describe(a))
		t.begin(a)
	}
	return plan
}

func describe(a podsync.Action) string {
	parts := []string{string(a.Kind)}
	switch a.Kind {
	case podsync.StartContainer:
		parts = append(parts, fmt.Sprintf("%s attempt=%d", a.Container, a.Attempt))
	case podsync.StopContainer:
		parts = append(parts, fmt.Sprintf("%s grace=%d", a.Container, a.Grace))
	case podsync.RemoveContainer, podsync.ResizeContainer, podsync.RunPreStop:
		parts = append(parts, a.Container)
	case podsync.CreateSandbox:
		parts = append(parts, fmt.Sprintf("attempt=%d", a.Attempt))
	}
	return strings.Join(append(parts, "("+string(a.Why)+")"), " ")
}

func (t *toy) begin(a podsync.Action) {
	switch a.Kind {
	case podsync.MountVolumes, podsync.UnmountVolumes:
		t.Busy.Volumes = true
	case podsync.CreateSandbox:
		t.Busy.Sandbox = true
	case podsync.StartContainer:
		t.Busy.Start = a.Container
		r := t.Records[a.Container].Of(t.spec(a.Container))
		r.Crash = a.Crash
		t.Records[a.Container] = r
	case podsync.StopContainer:
		t.Busy.Stops[a.ID] = a.Grace
		if a.Why.Replaces() {
			r := t.Records[a.Container]
			r.Condemned = podsync.Condemned{ID: a.ID, Why: a.Why}
			t.Records[a.Container] = r
		}
	case podsync.RunPreStop:
		t.Busy.Hooked[a.ID] = true
	case podsync.ResizeContainer:
		t.Busy.Resizes[a.ID] = true
	case podsync.DeletePod:
		t.Busy.Delete = true
	default:
		t.Busy.Removes[a.ID] = true
	}
	t.pending = append(t.pending, a)
}

// finish ends one piece of work.
func (t *toy) finish(i int) {
	a := t.pending[i]
	t.pending = slices.Delete(t.pending, i, i+1)
	switch a.Kind {
	case podsync.MountVolumes:
		t.Busy.Volumes = false
		if t.broken {
			t.Volumes.Failure = podsync.FailedMounting(t.Volumes.Failure, "broken", t.Now)
		} else {
			t.Volumes = podsync.Volumes{Ready: true}
		}
	case podsync.UnmountVolumes:
		t.Busy.Volumes = false
		t.Volumes.Gone = true
	case podsync.CreateSandbox:
		t.Busy.Sandbox = false
		t.next++
		t.Sandboxes = append(t.Sandboxes, podsync.Sandbox{
			ID: fmt.Sprintf("s%d", t.next), Attempt: uint32(a.Attempt), Ready: true, CreatedAt: t.Now,
			IPs: []string{fmt.Sprintf("10.42.0.%d", t.next)},
		})
	case podsync.StartContainer:
		t.finishStart(a)
	case podsync.StopContainer:
		delete(t.Busy.Stops, a.ID)
		t.exit(a.ID, 0)
	case podsync.StopSandbox:
		delete(t.Busy.Removes, a.ID)
		t.Stopped[a.ID] = true
		t.kill(a.ID)
	case podsync.RemoveSandbox:
		delete(t.Busy.Removes, a.ID)
		t.Sandboxes = slices.DeleteFunc(t.Sandboxes, func(s podsync.Sandbox) bool { return s.ID == a.ID })
		t.Containers = slices.DeleteFunc(t.Containers, func(c podsync.Container) bool { return c.SandboxID == a.ID })
	case podsync.RemoveContainer:
		delete(t.Busy.Removes, a.ID)
		t.Containers = slices.DeleteFunc(t.Containers, func(c podsync.Container) bool { return c.ID == a.ID })
	case podsync.ResizeContainer:
		delete(t.Busy.Resizes, a.ID)
		if reason := t.failing[a.Container]; reason != "" {
			t.Waits[podsync.ResizeKey(a.ID)] = t.Now.Add(podsync.RetryDelay)
			t.Resize.Progress = &podsync.ResizeState{Reason: corev1.PodReasonError, Message: reason, Generation: t.Pod.Generation}
			return
		}
		for i := range t.Containers {
			if c := &t.Containers[i]; c.ID == a.ID {
				c.Resources = t.spec(c.Name).Resources.DeepCopy()
			}
		}
	case podsync.DeletePod:
		t.Busy.Delete = false
		t.Deleted, t.Absent = true, true
	}
}

func (t *toy) finishStart(a podsync.Action) {
	t.Busy.Start = ""
	if reason := t.failing[a.Container]; reason != "" {
		t.Records[a.Container] = t.Records[a.Container].Failed(reason, "it does not want to", t.Now)
		return
	}
	t.Records[a.Container] = t.Records[a.Container].Started()
	sandbox := t.sandbox()
	if sandbox == nil || !sandbox.Ready {
		return
	}
	t.next++
	c := podsync.Container{
		ID: fmt.Sprintf("c%d", t.next), Name: a.Container, SandboxID: sandbox.ID, Attempt: a.Attempt,
		Phase: podsync.Running, Hash: podsync.Hash(t.spec(a.Container)), CreatedAt: t.Now, StartedAt: t.Now,
		Image: t.spec(a.Container).Image, Resources: t.spec(a.Container).Resources.DeepCopy(),
	}
	t.Containers = append(t.Containers, c)
	v := probe.Verdicts{}
	if s := t.spec(a.Container); s.StartupProbe != nil {
		v.Startup = probe.Unknown
	}
	if s := t.spec(a.Container); s.ReadinessProbe != nil {
		v.Readiness = probe.Failure
	}
	t.Probes[c.ID] = v
}

func (t *toy) sandbox() *podsync.Sandbox {
	var newest *podsync.Sandbox
	for i := range t.Sandboxes {
		if newest == nil || t.Sandboxes[i].Attempt > newest.Attempt {
			newest = &t.Sandboxes[i]
		}
	}
	return newest
}

func (t *toy) spec(name string) *corev1.Container {
	for _, list := range [][]corev1.Container{t.Pod.Spec.InitContainers, t.Pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func (t *toy) exit(id string, code int32) {
	for i := range t.Containers {
		if c := &t.Containers[i]; c.ID == id && c.Phase == podsync.Running {
			c.Phase, c.ExitCode, c.FinishedAt, c.Reason = podsync.Exited, code, t.Now, "Completed"
			if code != 0 {
				c.Reason = "Error"
			}
			delete(t.Probes, id)
		}
	}
}

// kill ends a sandbox.
func (t *toy) kill(id string) {
	for i := range t.Sandboxes {
		if t.Sandboxes[i].ID == id {
			t.Sandboxes[i].Ready = false
		}
	}
	for _, c := range slices.Clone(t.Containers) {
		if c.SandboxID == id {
			t.exit(c.ID, 137)
		}
	}
}

func (t *toy) running(name string) *podsync.Container {
	for i := range t.Containers {
		if c := &t.Containers[i]; c.Name == name && c.Phase == podsync.Running {
			return c
		}
	}
	return nil
}

// settle decides and finishes until nothing is left to do at this time.
func (t *toy) settle() podsync.Plan {
	for range 1000 {
		plan := t.decide()
		if len(t.pending) == 0 {
			return plan
		}
		for len(t.pending) > 0 {
			t.finish(0)
		}
	}
	panic("never settles: " + strings.Join(t.log[len(t.log)-20:], "; "))
}

func (t *toy) delete(grace int64) {
	at := metav1.NewTime(t.Now.Add(time.Duration(grace) * time.Second))
	t.Pod = t.Pod.DeepCopy()
	t.Pod.DeletionTimestamp, t.Pod.DeletionGracePeriodSeconds = &at, &grace
}
