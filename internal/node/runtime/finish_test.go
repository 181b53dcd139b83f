package runtime_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/node/cri"
)

// breaks is how many starts are broken off, at moments spread over a start.
const breaks = 30

// A client that dies while a container starts leaves one that runs and can be
// stopped and removed, not a process that the runtime has lost sight of.
func TestStartIsFinishedWithoutItsClient(t *testing.T) {
	cfg := configFor(t)
	dir := cfg.Dir
	defer start(t, cfg)()
	store, err := image.Open(dir.RuntimeSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	images := filepath.Join(cfg.BundleDir, "images")
	if err := store.Ensure(t.Context(), filepath.Join(images, "pause.tar"), filepath.Join(images, "demo.tar")); err != nil {
		t.Fatal(err)
	}
	client, err := cri.Dial(dir.CRISocket())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.AwaitVersion(t.Context()); err != nil {
		t.Fatal(err)
	}

	whole := startAndRemove(t, client, dir, 0, time.Minute)
	for i := range breaks {
		startAndRemove(t, client, dir, 1+i, whole*time.Duration(i)/(breaks-1))
	}
	for _, shim := range shims(t, dir) {
		t.Errorf("left behind: %s", shim)
	}
}

// startAndRemove makes a pod, starts its container by a client that goes away
// after that time, and removes the pod. It returns how long the start took.
func startAndRemove(t *testing.T, client *cri.Client, dir datadir.Dir, n int, leave time.Duration) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name := fmt.Sprintf("p%d", n)
	pod := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE},
		}},
	}
	sandbox, err := client.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: pod})
	if err != nil {
		t.Fatal(err)
	}
	created, err := client.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: sandbox.PodSandboxId, SandboxConfig: pod,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "app"},
			Image:    &runtimeapi.ImageSpec{Image: "berth.dev/pause:1"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mortal, err := cri.Dial(dir.CRISocket())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mortal.Version(ctx, &runtimeapi.VersionRequest{}); err != nil { // it is connected
		t.Fatal(err)
	}
	began := time.Now()
	timer := time.AfterFunc(leave, func() { _ = mortal.Close() })
	_, broken := mortal.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId})
	took := time.Since(began)
	timer.Stop()
	_ = mortal.Close()

	if err := settle(ctx, client, created.ContainerId, broken); err != nil {
		t.Errorf("left after %s: %v", leave, err)
	}
	if _, err := client.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox.PodSandboxId}); err != nil {
		t.Errorf("left after %s: stop the sandbox: %v", leave, err)
	}
	if _, err := client.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sandbox.PodSandboxId}); err != nil {
		t.Errorf("left after %s: remove the sandbox: %v", leave, err)
	}
	return took
}

// settle removes a container that was started with that outcome. It has to be
// running, or to be as it was before when the call was broken off so early that
// it never arrived. One that is being started cannot be removed yet.
func settle(ctx context.Context, client *cri.Client, id string, broken error) error {
	for {
		st, err := client.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return err
		}
		switch state := st.Status.State; {
		case state == runtimeapi.ContainerState_CONTAINER_RUNNING:
			if _, err := client.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
				return fmt.Errorf("stop the container: %w", err)
			}
			_, err := client.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
			return err
		case broken == nil || state != runtimeapi.ContainerState_CONTAINER_CREATED:
			return fmt.Errorf("started with %v, the container is %s", broken, state) //nolint:errorlint // it tells
		}
		if _, err = client.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id}); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove the container: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// shims are the command lines of the shims of that instance.
func shims(t *testing.T, dir datadir.Dir) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		line := strings.ReplaceAll(string(text), "\x00", " ")
		if strings.Contains(line, "containerd-shim") && strings.Contains(line, dir.Run()) {
			found = append(found, line)
		}
	}
	return found
}
