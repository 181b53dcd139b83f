package node_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/node/cri/fakecri"
)

// A container starts when the network of its sandbox is known to be its own. In one
// that is not none starts: it goes with what was made in it, and is made again.
func TestNoStartBeforeTheNetworkIsClear(t *testing.T) {
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
	first := <-asked
	if calls("CreateContainer") != 1 || calls("StartContainer") != 0 {
		t.Errorf("while it is found out: %q", b.runtime.Calls())
	}
	answer <- errors.New("02:00:00:00:00:01 has the address")
	second := <-asked
	if first == second || calls("StartContainer") != 0 || calls("RemoveContainer") != 1 || calls("RunPodSandbox") != 2 {
		t.Errorf("sandboxes %s and %s, %q", first, second, b.runtime.Calls())
	}
	if !b.events.has("Warning FailedCreatePodSandBox Failed to create pod sandbox: 02:00:00:00:00:01 has the address") {
		t.Errorf("%q", b.events.events)
	}
	answer <- nil
	b.eventually("it runs", func() bool { return b.ready("app") })
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
