package podsync_test

import (
	"fmt"
	"testing"
	"time"

	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/probe"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func drawPod(t *rapid.T) *corev1.Pod {
	grace := rapid.Int64Range(0, 60).Draw(t, "grace")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", UID: "u0"}}
	pod.Spec.TerminationGracePeriodSeconds = &grace
	pod.Spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}).Draw(t, "policy")
	always := corev1.ContainerRestartPolicyAlways
	for i := range rapid.IntRange(0, 3).Draw(t, "inits") {
		c := drawContainer(t, fmt.Sprintf("init%d", i))
		if rapid.Bool().Draw(t, "sidecar") {
			c.RestartPolicy = &always
		} else {
			c.StartupProbe, c.ReadinessProbe, c.LivenessProbe = nil, nil, nil
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "containers") {
		pod.Spec.Containers = append(pod.Spec.Containers, drawContainer(t, fmt.Sprintf("app%d", i)))
	}
	return pod
}

func drawContainer(t *rapid.T, name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "demo:1"}
	if rapid.Bool().Draw(t, "startup") {
		c.StartupProbe = &corev1.Probe{}
	}
	if rapid.Bool().Draw(t, "liveness") {
		c.LivenessProbe = &corev1.Probe{}
	}
	if rapid.Bool().Draw(t, "readiness") {
		c.ReadinessProbe = &corev1.Probe{}
	}
	return c
}

// check decides and judges what it asks for.
func (t *toy) check(rt *rapid.T) podsync.Plan {
	before := t.State
	busyStart, starting := t.Busy.Start, 0
	mark := len(t.pending)
	plan := t.decide()
	for _, a := range t.pending[mark:] {
		switch a.Kind {
		case podsync.StartContainer:
			starting++
			if plan.Ending {
				rt.Fatalf("%s of a pod that ends", describe(a))
			}
			if t.running(a.Container) != nil {
				rt.Fatalf("%s while it runs", describe(a))
			}
			if !t.Volumes.Ready || t.sandbox() == nil || !t.sandbox().Ready {
				rt.Fatalf("%s without volumes or sandbox", describe(a))
			}
			t.checkOrder(rt, a)
		case podsync.StopContainer:
			t.checkStop(rt, a, before, plan)
		case podsync.DeletePod:
			for _, c := range t.Containers {
				if c.Phase == podsync.Running {
					rt.Fatalf("deleted from the API while %s runs", c.Name)
				}
			}
			for _, sb := range t.Sandboxes {
				if !t.Stopped[sb.ID] {
					rt.Fatalf("deleted from the API while sandbox %s is up", sb.ID)
				}
			}
			if !t.Volumes.Gone {
				rt.Fatal("deleted from the API while its volumes are there")
			}
		case podsync.CreateSandbox:
			if plan.Ending {
				rt.Fatal("a sandbox for a pod that ends")
			}
			for _, c := range t.Containers {
				if c.Phase == podsync.Running {
					rt.Fatalf("a new sandbox while %s runs in the old one", c.Name)
				}
			}
		}
	}
	if starting > 1 || starting == 1 && busyStart != "" {
		rt.Fatal("two containers are started at once")
	}
	for _, a := range podsync.Decide(t.State).Actions {
		for _, b := range t.pending {
			if a.Kind == b.Kind && a.ID == b.ID && a.Container == b.Container {
				rt.Fatalf("asked twice for %s", describe(a))
			}
		}
	}
	return plan
}

// checkStop: a healthy container is never stopped.
func (t *toy) checkStop(rt *rapid.T, a podsync.Action, before podsync.State, plan podsync.Plan) {
	var c *podsync.Container
	for i := range t.Containers {
		if t.Containers[i].ID == a.ID {
			c = &t.Containers[i]
		}
	}
	if c == nil || c.Phase != podsync.Running {
		rt.Fatalf("%s does not run", describe(a))
	}
	v := before.Probes[c.ID]
	sb := t.sandbox()
	switch {
	case plan.Ending:
	case v.Liveness == probe.Failure || v.Startup == probe.Failure:
	case c.Hash != podsync.Hash(t.spec(c.Name)):
	case sb == nil || !sb.Ready || c.SandboxID != sb.ID:
	case t.spec(c.Name).RestartPolicy != nil && a.Why == podsync.PodFinished:
		for i := range t.Pod.Spec.Containers {
			if t.running(t.Pod.Spec.Containers[i].Name) != nil {
				rt.Fatalf("sidecar stopped while %s runs", t.Pod.Spec.Containers[i].Name)
			}
		}
	default:
		rt.Fatalf("%s is healthy", describe(a))
	}
}

// checkOrder: a regular container begins after all init containers of the sandbox.
func (t *toy) checkOrder(rt *rapid.T, a podsync.Action) {
	sb := t.sandbox()
	for _, c := range t.Containers {
		if c.SandboxID == sb.ID && !isInit(t, c.Name) {
			return // the pod has been initialized in this sandbox
		}
	}
	for i := range t.Pod.Spec.InitContainers {
		c := &t.Pod.Spec.InitContainers[i]
		if c.Name == a.Container {
			return
		}
		ok := false
		for _, r := range t.Containers {
			if r.Name != c.Name || r.SandboxID != sb.ID {
				continue
			}
			if c.RestartPolicy != nil {
				ok = ok || r.Phase == podsync.Running
			} else {
				ok = ok || r.Phase == podsync.Exited && r.ExitCode == 0
			}
		}
		if !ok {
			rt.Fatalf("%s before %s is done", describe(a), c.Name)
		}
	}
}

func isInit(t *toy, name string) bool {
	for i := range t.Pod.Spec.InitContainers {
		if t.Pod.Spec.InitContainers[i].Name == name {
			return true
		}
	}
	return false
}

// disturb does something to the node or the pod.
func (t *toy) disturb(rt *rapid.T) {
	var running []podsync.Container
	for _, c := range t.Containers {
		if c.Phase == podsync.Running {
			running = append(running, c)
		}
	}
	switch rapid.IntRange(0, 11).Draw(rt, "disturbance") {
	case 0, 1:
		if len(running) > 0 {
			c := rapid.SampledFrom(running).Draw(rt, "who")
			t.exit(c.ID, int32(rapid.IntRange(0, 2).Draw(rt, "code")))
		}
	case 2, 3, 4:
		if len(running) > 0 {
			c := rapid.SampledFrom(running).Draw(rt, "who")
			v, verdict := t.Probes[c.ID], rapid.SampledFrom([]probe.Verdict{probe.Success, probe.Success, probe.Failure}).Draw(rt, "verdict")
			spec := t.spec(c.Name)
			switch {
			case spec.StartupProbe != nil && v.Startup == probe.Unknown:
				v.Startup = verdict
			case spec.LivenessProbe != nil:
				v.Liveness = verdict
			case spec.ReadinessProbe != nil:
				v.Readiness = verdict
			}
			t.Probes[c.ID] = v
		}
	case 5:
		if sb := t.sandbox(); sb != nil && sb.Ready {
			t.kill(sb.ID)
		}
	case 6:
		name := t.Pod.Spec.Containers[0].Name
		if t.failing[name] != "" {
			delete(t.failing, name)
		} else {
			t.failing[name] = podsync.ErrImagePull
		}
	case 7:
		t.broken = !t.broken
	case 8:
		t.Pod = t.Pod.DeepCopy()
		t.Pod.Spec.Containers[0].Image += "x"
	case 9:
		if t.Pod.DeletionTimestamp == nil && rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
			t.delete(rapid.Int64Range(0, 30).Draw(rt, "grace"))
		}
	default:
		t.Now = t.Now.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(rt, "ms")) * time.Millisecond)
	}
}

func TestSafetyAndConvergence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := newToy(drawPod(rt))
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			n.check(rt)
			if len(n.pending) > 0 && rapid.Bool().Draw(rt, "finish") {
				n.finish(rapid.IntRange(0, len(n.pending)-1).Draw(rt, "which"))
				continue
			}
			n.disturb(rt)
		}

		// Once nothing disturbs it any more, the pod is what it should be.
		n.failing, n.broken = map[string]string{}, false
		var plan podsync.Plan
		for round := 0; ; round++ {
			plan = n.check(rt)
			if len(n.pending) == 0 && plan.Again.IsZero() && !n.bless() {
				break
			}
			if round > 500 {
				rt.Fatalf("does not converge: %v", n.log[max(0, len(n.log)-10):])
			}
			if len(n.pending) > 0 {
				n.finish(0)
			} else if !plan.Again.IsZero() {
				n.Now = plan.Again
			}
			if n.endless() {
				n.Now = n.Now.Add(time.Second)
				n.finishInits()
			}
		}
		n.judge(rt, plan)
	})
}

// endless and finishInits let regular init containers succeed.
func (t *toy) endless() bool { return len(t.pending) == 0 }

func (t *toy) finishInits() {
	for i := range t.Pod.Spec.InitContainers {
		c := &t.Pod.Spec.InitContainers[i]
		if r := t.running(c.Name); r != nil && c.RestartPolicy == nil {
			t.exit(r.ID, 0)
		}
	}
}

// bless makes every probe succeed; true if that changed anything.
func (t *toy) bless() bool {
	changed := false
	for _, c := range t.Containers {
		if c.Phase != podsync.Running {
			continue
		}
		spec, v := t.spec(c.Name), t.Probes[c.ID]
		good := probe.Verdicts{}
		if spec.StartupProbe != nil {
			good.Startup = probe.Success
		}
		if spec.ReadinessProbe != nil {
			good.Readiness = probe.Success
		}
		if spec.LivenessProbe != nil {
			good.Liveness = probe.Success
		}
		if v.Startup == probe.Failure || v.Liveness == probe.Failure {
			continue // condemned: its stop is under way
		}
		if v.Startup != good.Startup || v.Readiness != good.Readiness {
			t.Probes[c.ID] = good
			changed = true
		}
	}
	for i := range t.Pod.Spec.InitContainers {
		if c := &t.Pod.Spec.InitContainers[i]; c.RestartPolicy == nil && t.running(c.Name) != nil {
			changed = true
		}
	}
	return changed
}

func (t *toy) judge(rt *rapid.T, plan podsync.Plan) {
	phase := plan.Status.Phase
	switch {
	case t.Pod.DeletionTimestamp != nil:
		if !plan.Over {
			rt.Fatalf("deleted, yet not over: %v", t.log[max(0, len(t.log)-10):])
		}
	case phase == corev1.PodSucceeded || phase == corev1.PodFailed:
		if t.Pod.Spec.RestartPolicy == corev1.RestartPolicyAlways {
			rt.Fatalf("phase %s with restart policy Always", phase)
		}
		for _, c := range t.Containers {
			if c.Phase == podsync.Running {
				rt.Fatalf("phase %s while %s runs", phase, c.Name)
			}
		}
	case phase == corev1.PodRunning:
		alive := false
		for i := range t.Pod.Spec.Containers {
			alive = alive || t.running(t.Pod.Spec.Containers[i].Name) != nil
		}
		if !alive {
			rt.Fatal("Running, and nothing runs")
		}
	default:
		rt.Fatalf("phase %s: %v", phase, t.log[max(0, len(t.log)-10):])
	}
}
