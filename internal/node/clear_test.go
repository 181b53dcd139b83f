package node_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"berth.dev/berth/internal/node/cri/fakecri"
)

// A container runs for others when the network of its sandbox is known to be its
// own. One that is not goes with what was started in it, and is made again.
func TestNothingRunsBeforeTheNetworkIsClear(t *testing.T) {
	b := newBed(t)
	b.stop()
	cfg := b.config()
	asked := make(chan string, 100)
	answer := make(chan error)
	cfg.NetworkClear = func(ctx context.Context, sandbox string) error {
		asked <- sandbox
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.begin(cfg)
	b.create(demo("app"))
	calls := func(prefix string) int {
		n := 0
		for _, c := range b.runtime.Calls() {
			if strings.HasPrefix(c, prefix) {
				n++
			}
		}
		return n
	}
	// running is how often others were told that the pod's container runs.
	running := func() int {
		n := 0
		for _, a := range b.client.Actions() {
			if p, ok := a.(clienttesting.PatchAction); ok && strings.Contains(string(p.GetPatch()), `"running"`) {
				n++
			}
		}
		return n
	}
	first := <-asked
	if calls("CreateContainer") != 1 || calls("StartContainer") != 1 {
		t.Errorf("while it is found out: %q", b.runtime.Calls())
	}
	answer <- errors.New("02:00:00:00:00:01 has the address")
	second := <-asked
	if first == second || calls("StartContainer") != 2 || calls("RemoveContainer") != 1 || calls("RunPodSandbox") != 2 {
		t.Errorf("sandboxes %s and %s, %q", first, second, b.runtime.Calls())
	}
	if n := running(); n != 0 || b.events.has("Normal Started") {
		t.Errorf("others are told %d times that it runs; %q", n, b.events.events)
	}
	if !b.events.has("Warning FailedCreatePodSandBox Failed to create pod sandbox: 02:00:00:00:00:01 has the address") {
		t.Errorf("%q", b.events.events)
	}
	answer <- nil
	b.eventually("it runs", func() bool { return b.ready("app") })
	if running() == 0 {
		t.Error("nothing tells that it runs")
	}
	if st := b.get("app").Status.ContainerStatuses; len(st) != 1 || st[0].RestartCount != 0 {
		t.Errorf("%+v", st)
	}
	b.eventually("the first sandbox is gone", func() bool {
		return !slices.ContainsFunc(b.runtime.Sandboxes(), func(s fakecri.Sandbox) bool { return s.ID == first })
	})
	// Who is deleted meanwhile does not wait for the answer.
	b.create(demo("gone"))
	<-asked
	b.delete("gone", metav1.DeleteOptions{})
	b.eventually("it is gone", func() bool { return b.get("gone") == nil })
}
