package runtime_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/runtime"
)

// Pods whose records were removed while they ran end before others come in their
// place, and so does the containerd that had them. What is on record goes on.
func TestPodsWithoutRecordsEnd(t *testing.T) {
	var dir datadir.Dir
	t.Cleanup(func() { // when nothing runs any more
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/berth-" + dir.ID())
		for _, group := range append(groups, "/sys/fs/cgroup/berth-"+dir.ID()) {
			pods, _ := filepath.Glob(group + "/pod*")
			for _, empty := range append(pods, group) {
				_ = os.Remove(empty)
			}
		}
	})
	cfg := configFor(t)
	dir = cfg.Dir
	stop := start(t, cfg)
	lost, kept := runPod(t, cfg, "lost"), runPod(t, cfg, "kept")
	old := pid(t, dir)
	stop()
	for _, gone := range []string{
		filepath.Join(dir.Containerd(), "process.json"),
		filepath.Join(cfg.Tasks(), lost.sandbox, "bootstrap.json"), filepath.Join(cfg.Tasks(), lost.container, "bootstrap.json"),
	} {
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
	}

	stop = start(t, cfg)
	defer stop()
	if syscall.Kill(old, 0) == nil {
		t.Errorf("the containerd without a record (pid %d) still runs", old)
	}
	left := map[string]bool{}
	for _, s := range runtime.Shims(dir) {
		left[s.ID] = true
	}
	if left[lost.sandbox] || !left[kept.sandbox] {
		t.Errorf("shims of %v run; %s is lost, %s is not", left, lost.sandbox, kept.sandbox)
	}
	client, err := cri.Dial(dir.CRISocket())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.AwaitVersion(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []pod{lost, kept} {
		if _, err := client.StopPodSandbox(t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: p.sandbox}); err != nil {
			t.Error(err)
		}
		if _, err := client.RemovePodSandbox(t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: p.sandbox}); err != nil {
			t.Error(err)
		}
	}
	for _, s := range runtime.Shims(dir) {
		t.Errorf("left behind: %+v", s)
	}
}

type pod struct{ sandbox, container string }

// runPod starts a pod of one container, in the instance's control group.
func runPod(t *testing.T, cfg runtime.Config, name string) pod {
	t.Helper()
	store, err := image.Open(cfg.Dir.RuntimeSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Ensure(t.Context(), filepath.Join(cfg.BundleDir, "images", "pause.tar")); err != nil {
		t.Fatal(err)
	}
	client, err := cri.Dial(cfg.Dir.CRISocket())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.AwaitVersion(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent: "/berth-" + cfg.Dir.ID() + "/pod" + name,
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
				NamespaceOptions: &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE},
			},
		},
	}
	sandbox, err := client.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	container, err := client.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{
		PodSandboxId: sandbox.PodSandboxId, SandboxConfig: config,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "app"},
			Image:    &runtimeapi.ImageSpec{Image: runtime.PauseImage},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: container.ContainerId}); err != nil {
		t.Fatal(err)
	}
	return pod{sandbox.PodSandboxId, container.ContainerId}
}
