package node_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The agent is stopped at any moment while pods come and go. Nothing is
// started twice, no running container is stopped without need.
func TestStoppedAtAnyMoment(t *testing.T) {
	b := newBed(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 40 {
		b.create(demo(fmt.Sprintf("p%d", i)))
		if i >= 20 {
			b.delete(fmt.Sprintf("p%d", i-20), metav1.DeleteOptions{})
		}
		time.Sleep(time.Duration(random.IntN(8_000)) * time.Microsecond)
		b.stop()
		b.start()
	}
	b.eventually("the first twenty are gone, the others Ready", func() bool {
		for i := range 20 {
			if b.get(fmt.Sprintf("p%d", i)) != nil || !b.ready(fmt.Sprintf("p%d", i+20)) {
				return false
			}
		}
		return len(b.runtime.Sandboxes()) == 20
	})
	running := map[string]int{}
	for _, c := range b.runtime.Containers() {
		if c.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			running[c.Sandbox.Config.Metadata.Name]++
		}
	}
	for i := 20; i < 40; i++ {
		name := fmt.Sprintf("p%d", i)
		if running[name] != 1 {
			t.Errorf("%s has %d running containers", name, running[name])
		}
		if n := b.get(name).Status.ContainerStatuses[0].RestartCount; n != 0 {
			t.Errorf("%s was restarted %d times", name, n)
		}
	}
	for _, call := range b.runtime.Calls() {
		if strings.HasPrefix(call, "StartContainer app/1") {
			t.Errorf("a second start: %s", call)
		}
	}
}

// An image imported by hand ends the back-off of its pull.
func TestImportedImageIsFound(t *testing.T) {
	b := newBed(t)
	pod := demo("web-0")
	pod.Spec.Containers[0].Image, pod.Spec.Containers[0].ImagePullPolicy = "later:1", "Never"
	b.create(pod)
	b.eventually("ErrImageNeverPull", func() bool {
		list := b.get("web-0").Status.ContainerStatuses
		return len(list) == 1 && list[0].State.Waiting != nil && list[0].State.Waiting.Reason == "ErrImageNeverPull"
	})
	b.runtime.AddImage("later:1")
	b.eventually("Ready", func() bool { return b.ready("web-0") })
}

// A sandbox that dies is replaced, a runtime that refuses is asked again.
func TestRuntimeTrouble(t *testing.T) {
	b := newBed(t)
	b.create(demo("web-0"))
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	b.runtime.CrashSandbox(b.runtime.Sandboxes()[0].ID)
	b.eventually("Ready in a new sandbox", func() bool {
		return b.ready("web-0") && b.get("web-0").Status.ContainerStatuses[0].RestartCount == 1
	})
	if !b.events.has("Normal SandboxChanged Pod sandbox changed, it will be killed and re-created.") {
		t.Errorf("no SandboxChanged in %v", b.events.events)
	}
	b.runtime.SetFail(func(method string, _ any) error {
		if method == "StopPodSandbox" || method == "RemovePodSandbox" {
			return fmt.Errorf("not now")
		}
		return nil
	})
	b.delete("web-0", metav1.DeleteOptions{})
	b.eventually("refused", func() bool { return strings.Contains(strings.Join(b.runtime.Calls(), "\n"), "StopPodSandbox") })
	time.Sleep(50 * time.Millisecond)
	if b.get("web-0") == nil {
		t.Error("deleted from the API while the sandbox is up")
	}
	b.runtime.SetFail(nil)
	b.eventually("gone", func() bool { return b.get("web-0") == nil && len(b.runtime.Sandboxes()) == 0 })
}

// What a killed agent left of a pod that nobody knows any more is removed at
// the next start; what belongs to a pod stays.
func TestTracesOfForgottenPodsAreSwept(t *testing.T) {
	b := newBed(t)
	b.create(demo("web-0"))
	b.eventually("Ready", func() bool { return b.ready("web-0") })
	b.stop()
	gone := []string{
		filepath.Join(b.dir.Kubelet(), "containers", "lost", "app"),
		filepath.Join(b.dir.PodLogs(), "default_web-1_lost", "app"),
	}
	for _, dir := range gone {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.start()
	b.eventually("swept", func() bool {
		for _, dir := range gone {
			if _, err := os.Stat(filepath.Dir(dir)); err == nil {
				return false
			}
		}
		return true
	})
	for _, dir := range []string{
		filepath.Join(b.dir.Kubelet(), "containers", "uid-web-0"),
		filepath.Join(b.dir.PodLogs(), "default_web-0_uid-web-0"),
	} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
}
