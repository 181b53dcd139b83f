package node_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

// onClock starts the agent with a clock of the test's.
func (b *bed) onClock() *clocktesting.FakeClock {
	clk := clocktesting.NewFakeClock(time.Now())
	cfg := b.config()
	cfg.Clock = clk
	b.begin(cfg)
	return clk
}

// The API takes no status for five minutes. Meanwhile a container crashes twice
// and is restarted, after its back-off, with nobody to ask; then all is told.
func TestAPIAwayForMinutes(t *testing.T) {
	b := newBed(t)
	b.stop()
	var away atomic.Bool
	var tried atomic.Int64
	b.client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		if !away.Load() {
			return false, nil, nil
		}
		tried.Add(1)
		return true, nil, apierrors.NewServiceUnavailable("away")
	})
	clk := b.onClock()
	b.create(demo("web-0"))
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	away.Store(true)
	began := clk.Now()

	runs := []string{b.runtime.Running("app").ID}
	another := func() bool {
		c := b.runtime.Running("app")
		return c != nil && !slices.Contains(runs, c.ID)
	}
	b.runtime.Crash(runs[0], 3)
	b.eventually("restarted at once", another)
	runs = append(runs, b.runtime.Running("app").ID)
	b.runtime.Crash(runs[1], 3)
	b.eventually("restarted after its back-off", func() bool {
		clk.Step(time.Second)
		return another()
	})
	if waited := clk.Since(began); waited < 10*time.Second {
		t.Errorf("after %s", waited)
	}
	b.eventually("minutes pass, the status is tried again", func() bool {
		clk.Step(5 * time.Second)
		return clk.Since(began) > 5*time.Minute && tried.Load() > 5
	})
	if st := b.get("web-0").Status.ContainerStatuses[0]; st.RestartCount != 0 {
		t.Errorf("told while it was away: %+v", st)
	}
	away.Store(false)
	b.eventually("all is told", func() bool {
		clk.Step(time.Second)
		st := b.get("web-0").Status.ContainerStatuses[0]
		return st.RestartCount == 2 && st.LastTerminationState.Terminated != nil && st.LastTerminationState.Terminated.ExitCode == 3 && b.ready("web-0")
	})
	if !another() {
		t.Error("it does not run on")
	}
}

// However often a volume fails, it is one event with a count: the words are the same.
func TestVolumeFailureIsOneEvent(t *testing.T) {
	b := newBed(t)
	b.stop()
	clk := b.onClock()
	b.volumes.set(errors.New(`MountVolume.SetUp failed for volume "x" : hostPath type check failed: /nowhere is not a directory`))
	b.create(demo("web-0"))
	told := func() (list []string) {
		b.events.mu.Lock()
		defer b.events.mu.Unlock()
		for _, ev := range b.events.events {
			if strings.Contains(ev, "FailedMount") {
				list = append(list, ev)
			}
		}
		return list
	}
	b.eventually("it fails again and again", func() bool {
		clk.Step(time.Second)
		return len(told()) >= 5
	})
	if list := told(); len(slices.Compact(list)) != 1 {
		t.Errorf("%q", list)
	}
	if st := b.get("web-0").Status; st.Phase != corev1.PodPending {
		t.Errorf("%+v", st)
	}
}

// Volumes that cannot be taken down keep the pod. Its events name each once; when
// the driver that they wait for has come they are tried at once.
func TestVolumeThatStaysIsTold(t *testing.T) {
	b := newBed(t)
	b.stop()
	clk := b.onClock()
	b.create(demo("web-0"))
	b.eventually("it runs", func() bool { clk.Step(time.Second); return b.ready("web-0") })
	b.volumes.keep(errors.Join(errors.Join(nil, errors.New("one stays")), errors.New("two stays: (NodeUnpublishVolume of driver d)")))
	uid := b.get("web-0").UID
	b.delete("web-0", metav1.DeleteOptions{})
	tried := func() int {
		b.volumes.mu.Lock()
		defer b.volumes.mu.Unlock()
		return len(b.volumes.torn)
	}
	b.eventually("it is tried again and again", func() bool { clk.Step(time.Second); return tried() >= 5 })
	var told []string
	b.events.mu.Lock()
	for _, ev := range b.events.events {
		if strings.Contains(ev, "FailedUnMount") {
			told = append(told, ev)
		}
	}
	b.events.mu.Unlock()
	slices.Sort(told)
	if told = slices.Compact(told); len(told) != 2 || !strings.Contains(told[0], "one stays") || !strings.Contains(told[1], "two stays: (NodeUnpublishVolume of driver d)") {
		t.Errorf("%q", told)
	}
	b.volumes.keep(nil)
	b.agent.VolumesChanged(uid)
	b.eventually("it is gone", func() bool { clk.Step(time.Second); return b.get("web-0") == nil })
}

// A container that cannot be killed, as one that hangs in the kernel, is told of
// in one event as often as it is tried, and keeps its pod; the pod goes with it.
func TestUnkillableIsTold(t *testing.T) {
	b := newBed(t)
	b.create(demo("web-0"))
	b.eventually("it runs", func() bool { return b.ready("web-0") })
	b.runtime.SetFail(func(method string, _ any) error {
		if method == "StopContainer" {
			return status.Error(codes.DeadlineExceeded, "context deadline exceeded")
		}
		return nil
	})
	b.delete("web-0", metav1.DeleteOptions{})
	told := func() (list []string) {
		b.events.mu.Lock()
		defer b.events.mu.Unlock()
		for _, ev := range b.events.events {
			if strings.Contains(ev, "FailedKillPod") {
				list = append(list, ev)
			}
		}
		return list
	}
	b.eventually("it is tried again and again", func() bool { return len(told()) >= 2 })
	const want = `error killing pod: failed to "KillContainer" for "app" with KillContainerError: "rpc error: code = DeadlineExceeded desc = context deadline exceeded"`
	if list := slices.Compact(told()); len(list) != 1 || !strings.Contains(list[0], want) {
		t.Errorf("%q", list)
	}
	if b.get("web-0") == nil {
		t.Error("the pod is gone before its container is")
	}
	b.runtime.SetFail(nil)
	b.eventually("all of it is gone", func() bool { return b.get("web-0") == nil && len(b.runtime.Sandboxes()) == 0 })
}

// A volume that cannot be taken down because its server does not answer holds up
// its own pod, also one that is deleted by force; nobody else's, and not the agent.
func TestHungUnmountHoldsUpOnePod(t *testing.T) {
	b := newBed(t)
	hung := make(chan struct{})
	b.volumes.hang(func(uid types.UID) {
		if uid == "uid-stuck" {
			<-hung
		}
	})
	b.create(demo("stuck"))
	b.create(demo("other"))
	b.eventually("both run", func() bool { return b.ready("stuck") && b.ready("other") })
	b.delete("stuck", metav1.DeleteOptions{})
	b.delete("other", metav1.DeleteOptions{})
	b.eventually("the other is gone", func() bool { return b.get("other") == nil && b.runtime.Running("app") == nil })
	if b.get("stuck") == nil {
		t.Error("it is gone before its volumes are")
	}
	b.delete("stuck", metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	b.create(demo("later"))
	b.eventually("one that comes later runs", func() bool { return b.ready("later") })
	if !b.agent.Knows("uid-stuck") {
		t.Error("what is left of the pod is forgotten")
	}
	close(hung)
	b.eventually("all of it is gone", func() bool { return !b.agent.Knows("uid-stuck") && len(b.runtime.Sandboxes()) == 1 })
}
