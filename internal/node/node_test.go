package node_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodLivesAndDies(t *testing.T) {
	b := newBed(t)
	b.create(demo("web-0"))
	b.eventually("web-0 is Ready", func() bool { return b.ready("web-0") })
	pod := b.get("web-0")
	if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" || pod.Status.HostIP != "192.0.2.1" {
		t.Errorf("status %+v", pod.Status)
	}
	st := pod.Status.ContainerStatuses[0]
	if !strings.HasPrefix(st.ContainerID, "containerd://container-") || st.State.Running == nil || !*st.Started {
		t.Errorf("container status %+v", st)
	}
	for _, want := range []string{
		`Normal Pulled Container image "demo:1" already present on machine and can be accessed by the pod`,
		"Normal Created Container created", "Normal Started Container started",
	} {
		if !b.events.has(want) {
			t.Errorf("no event %q in %v", want, b.events.events)
		}
	}
	id, log, err := b.agent.FindContainer("default", "web-0", "app", false)
	if err != nil || "containerd://"+id != st.ContainerID || !strings.HasSuffix(log, "default_web-0_uid-web-0/app/0.log") {
		t.Errorf("FindContainer: %q %q %v", id, log, err)
	}
	if _, _, err := b.agent.FindContainer("default", "web-0", "app", true); err == nil ||
		err.Error() != `previous terminated container "app" in pod "web-0" not found` {
		t.Errorf("previous: %v", err)
	}

	b.delete("web-0", metav1.DeleteOptions{})
	b.eventually("web-0 is gone", func() bool { return b.get("web-0") == nil && len(b.runtime.Sandboxes()) == 0 })
	if !b.events.has("Normal Killing Stopping container app") {
		t.Errorf("no Killing in %v", b.events.events)
	}
	calls := strings.Join(b.runtime.Calls(), "\n")
	if strings.Index(calls, "StopContainer") > strings.Index(calls, "StopPodSandbox") {
		t.Errorf("the sandbox was stopped before its container:\n%s", calls)
	}
	b.eventually("the worker is gone", func() bool { return len(b.agent.Pods()) == 0 })
}

func TestRestartTakesOver(t *testing.T) {
	b := newBed(t)
	b.create(demo("web-0"))
	b.create(demo("web-1"))
	b.eventually("both Ready", func() bool { return b.ready("web-0") && b.ready("web-1") })
	before, calls := b.get("web-0").Status, len(b.runtime.Calls())
	for range 3 {
		b.stop()
		b.start()
	}
	time.Sleep(50 * time.Millisecond)
	if after := b.runtime.Calls(); len(after) != calls {
		t.Errorf("a takeover did something: %v", after[calls:])
	}
	if got := b.get("web-0").Status; got.ContainerStatuses[0].ContainerID != before.ContainerStatuses[0].ContainerID || got.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("status changed: %+v", got)
	}
	// The container crashes while nobody looks.
	b.stop()
	b.runtime.Crash(b.runtime.Running("app").ID, 1)
	b.start()
	b.eventually("restarted", func() bool {
		n := int32(0)
		for _, name := range []string{"web-0", "web-1"} {
			n += b.get(name).Status.ContainerStatuses[0].RestartCount
		}
		return n == 1 && b.ready("web-0") && b.ready("web-1")
	})
}

func TestOrphanIsKilledGracefully(t *testing.T) {
	b := newBed(t)
	pod := demo("web-0")
	pod.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"bye"}}}}
	b.create(pod)
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	b.stop()
	if err := b.client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "default", "web-0"); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.eventually("nothing left", func() bool { return len(b.runtime.Sandboxes()) == 0 && len(b.runtime.Containers()) == 0 })
	calls := strings.Join(b.runtime.Calls(), "\n")
	if !strings.Contains(calls, "ExecSync app [bye]") || !strings.Contains(calls, "StopContainer app/0") {
		t.Errorf("not graceful:\n%s", calls)
	}
}

func TestCrashBacksOff(t *testing.T) {
	b := newBed(t)
	b.create(demo("web-0"))
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	b.runtime.Crash(b.runtime.Running("app").ID, 3)
	b.eventually("restarted at once", func() bool {
		st := b.get("web-0").Status.ContainerStatuses[0]
		return st.RestartCount == 1 && st.State.Running != nil
	})
	if last := b.get("web-0").Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 3 || last.Reason != "Error" {
		t.Errorf("lastState %+v", last)
	}
	b.runtime.Crash(b.runtime.Running("app").ID, 3)
	b.eventually("CrashLoopBackOff", func() bool {
		st := b.get("web-0").Status.ContainerStatuses[0]
		return st.State.Waiting != nil && st.State.Waiting.Reason == "CrashLoopBackOff" &&
			st.State.Waiting.Message == "back-off 10s restarting failed container=app pod=web-0_default(uid-web-0)"
	})
	if !b.events.has("Warning BackOff Back-off restarting failed container app in pod web-0_default(uid-web-0)") {
		t.Errorf("no BackOff in %v", b.events.events)
	}
	if phase := b.get("web-0").Status.Phase; phase != corev1.PodRunning {
		t.Errorf("phase %s", phase)
	}
	if _, _, err := b.agent.FindContainer("default", "web-0", "app", true); err != nil {
		t.Errorf("previous logs: %v", err)
	}
}

func TestImageThatIsNotThere(t *testing.T) {
	b := newBed(t)
	b.runtime.Fail = func(method string, _ any) error {
		if method == "PullImage" {
			return status.Error(codes.NotFound, `failed to pull and unpack image "docker.io/library/nope:latest": not found`)
		}
		return nil
	}
	pod := demo("web-0")
	pod.Spec.Containers[0].Image = "nope"
	b.create(pod)
	waiting := func() *corev1.ContainerStateWaiting {
		list := b.get("web-0").Status.ContainerStatuses
		if len(list) == 0 {
			return nil
		}
		return list[0].State.Waiting
	}
	b.eventually("ErrImagePull", func() bool { w := waiting(); return w != nil && w.Reason == "ErrImagePull" })
	b.eventually("ImagePullBackOff", func() bool { w := waiting(); return w != nil && w.Reason == "ImagePullBackOff" })
	for _, want := range []string{`Normal Pulling Pulling image "nope"`, `Warning Failed Failed to pull image "nope": rpc error`, "Warning Failed Error: ErrImagePull", `Normal BackOff Back-off pulling image "nope"`} {
		if !b.events.has(want) {
			t.Errorf("no event %q in %v", want, b.events.events)
		}
	}
	if phase := b.get("web-0").Status.Phase; phase != corev1.PodPending {
		t.Errorf("phase %s", phase)
	}
	b.delete("web-0", metav1.DeleteOptions{})
	b.eventually("gone", func() bool { return b.get("web-0") == nil && len(b.runtime.Sandboxes()) == 0 })
}

func TestVolumeFailureIsToldAndOvercome(t *testing.T) {
	b := newBed(t)
	b.volumes.set(errors.New(`MountVolume.SetUp failed for volume "x" : configmap "x" not found`))
	b.create(demo("web-0"))
	b.eventually("FailedMount", func() bool {
		return b.events.has(`Warning FailedMount MountVolume.SetUp failed for volume "x" : configmap "x" not found`)
	})
	b.volumes.set(nil)
	b.agent.VolumesChanged("uid-web-0")
	b.eventually("Ready", func() bool { return b.ready("web-0") })
}

func TestLostEventsAreRepaired(t *testing.T) {
	b := newBed(t)
	b.stop()
	b.relist = 50 * time.Millisecond
	b.start()
	b.create(demo("web-0"))
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	b.runtime.Silence(true)
	b.runtime.Crash(b.runtime.Running("app").ID, 1)
	b.eventually("restarted", func() bool { return b.get("web-0").Status.ContainerStatuses[0].RestartCount == 1 })
}

func TestForcedDeleteOvertakesAGracefulOne(t *testing.T) {
	b := newBed(t)
	b.runtime.StopTakes = time.Hour
	pod := demo("web-0")
	*pod.Spec.TerminationGracePeriodSeconds = 3600
	b.create(pod)
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	b.delete("web-0", metav1.DeleteOptions{})
	b.eventually("stopping", func() bool { return b.events.has("Killing") })
	if b.get("web-0") == nil {
		t.Fatal("gone too soon")
	}
	zero := int64(0)
	b.delete("web-0", metav1.DeleteOptions{GracePeriodSeconds: &zero})
	b.eventually("the container is killed", func() bool { return len(b.runtime.Containers()) == 0 })
}

func TestMissingConfigMapHoldsTheContainer(t *testing.T) {
	b := newBed(t)
	pod := demo("web-0")
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Key: "a",
	}}}}
	b.create(pod)
	b.eventually("CreateContainerConfigError", func() bool {
		list := b.get("web-0").Status.ContainerStatuses
		return len(list) == 1 && list[0].State.Waiting != nil && list[0].State.Waiting.Reason == "CreateContainerConfigError" &&
			list[0].State.Waiting.Message == `configmap "settings" not found`
	})
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "settings"}, Data: map[string]string{"a": "1"}}
	time.Sleep(50 * time.Millisecond) // until the watch is there
	if err := b.client.Tracker().Create(corev1.SchemeGroupVersion.WithResource("configmaps"), m, "default"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestLivenessRestarts(t *testing.T) {
	b := newBed(t)
	b.runtime.OnExec = nil
	pod := demo("web-0")
	pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"alive"}}},
		PeriodSeconds: 1, FailureThreshold: 1,
	}
	b.create(pod)
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	first := b.runtime.Running("app").ID
	b.runtime.Fail = nil
	b.setExec(1)
	b.eventually("killed", func() bool {
		return b.events.has("Normal Killing Container app failed liveness probe, will be restarted")
	})
	b.setExec(0)
	b.eventually("restarted", func() bool {
		c := b.runtime.Running("app")
		return c != nil && c.ID != first
	})
	if !b.events.has("Warning Unhealthy Liveness probe failed:") {
		t.Errorf("no Unhealthy in %v", b.events.events)
	}
}

func TestHundredPodsComeAndGo(t *testing.T) {
	b := newBed(t)
	const n = 100
	names := make([]string, n)
	for i := range names {
		names[i] = "p-" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		b.create(demo(names[i]))
	}
	b.eventually("all Ready", func() bool {
		for _, name := range names {
			if !b.ready(name) {
				return false
			}
		}
		return true
	})
	for _, name := range names {
		b.delete(name, metav1.DeleteOptions{})
	}
	b.eventually("all gone", func() bool {
		for _, name := range names {
			if b.get(name) != nil {
				return false
			}
		}
		return len(b.runtime.Sandboxes()) == 0 && len(b.agent.Pods()) == 0
	})
}
