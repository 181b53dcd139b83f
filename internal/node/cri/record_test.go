package cri

import (
	"testing"

	"berth.dev/berth/internal/plan/podsync"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A start that was broken off with the agent is not a run that failed.
func TestBrokenOffStartNeverRan(t *testing.T) {
	for _, c := range []struct {
		message string
		started int64
		want    podsync.Phase
	}{
		{"failed to start containerd task: context canceled", 0, podsync.Created},
		{"exec: \"/nothing\": no such file or directory", 0, podsync.Exited},
		{"context canceled", 17, podsync.Exited},
	} {
		got := DecodeContainer("s", &runtimeapi.ContainerStatus{
			Id: "c", Metadata: &runtimeapi.ContainerMetadata{}, State: runtimeapi.ContainerState_CONTAINER_EXITED,
			Reason: "StartError", Message: c.message, StartedAt: c.started, FinishedAt: 18, ExitCode: 128,
		})
		if got.Phase != c.want {
			t.Errorf("%q: %s, want %s", c.message, got.Phase, c.want)
		}
	}
}
