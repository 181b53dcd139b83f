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

func TestImageKeepsItsNameWhenTheTagMoves(t *testing.T) {
	const id = "sha256:51beaf7f6d9248a708660af23f2d0f3c04a8780c4d280de6089f08482e201e99"
	for name, test := range map[string]struct {
		spec *runtimeapi.ImageSpec
		want string
	}{
		"tagged":           {&runtimeapi.ImageSpec{Image: "demo:1", UserSpecifiedImage: "demo"}, "demo:1"},
		"tag moved":        {&runtimeapi.ImageSpec{Image: id, UserSpecifiedImage: "demo:1"}, "demo:1"},
		"started by an ID": {&runtimeapi.ImageSpec{Image: id, UserSpecifiedImage: id}, id},
		"nothing known":    {&runtimeapi.ImageSpec{Image: id}, id},
		"no image":         {nil, ""},
	} {
		got := DecodeContainer("sandbox", &runtimeapi.ContainerStatus{Image: test.spec}).Image
		if got != test.want {
			t.Errorf("%s: image %q, want %q", name, got, test.want)
		}
	}
}
