//go:build !race

package cni

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/network/link"
	noderuntime "berth.dev/berth/internal/node/runtime"
)

// TestWithContainerd runs sandboxes in the bundle's real containerd.
func TestWithContainerd(t *testing.T) {
	built, err := filepath.Abs("../../../bin/bundle")
	check(t, err)
	if _, err := os.Stat(filepath.Join(built, "containerd")); err != nil {
		t.Skip("needs the bundle (make bundle)")
	}
	bundle := t.TempDir()
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "runc"} {
		check(t, os.Symlink(filepath.Join(built, name), filepath.Join(bundle, name)))
	}
	check(t, os.Mkdir(filepath.Join(bundle, "cni"), 0o755))
	check(t, os.Symlink(berthCNI, filepath.Join(bundle, "cni", "berth-cni")))

	check(t, link.SetUp(node))
	t.Cleanup(func() { check(t, link.Remove(node)) })
	dir := newDir(t)
	s, stop := start(t, dir)
	cfg := noderuntime.Config{Dir: dir, BundleDir: bundle, RestrictOOMScore: true}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- noderuntime.New(cfg, slog.New(slog.DiscardHandler)).Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
		check(t, noderuntime.Stop(cfg))
		check(t, Remove(context.Background(), dir, bundle))
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/berth-cnitest-" + dir.ID())
		for _, g := range append(groups, "/sys/fs/cgroup/berth-cnitest-"+dir.ID()) {
			_ = os.Remove(g)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	images, err := image.Open(dir.RuntimeSocket())
	check(t, err)
	defer images.Close()
	check(t, images.Ensure(ctx, filepath.Join(built, "images", "pause.tar")))
	conn, err := grpc.NewClient("unix://"+dir.RuntimeSocket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	defer conn.Close()
	rt := cri.NewRuntimeServiceClient(conn)

	run := func(name, uid string) (id string, took time.Duration) {
		begin := time.Now()
		r, err := rt.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{Namespace: "default", Name: name, Uid: uid},
			Linux:    &cri.LinuxPodSandboxConfig{CgroupParent: "/berth-cnitest-" + dir.ID()},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return r.PodSandboxId, time.Since(begin)
	}
	remove := func(id string) {
		_, err := rt.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: id})
		check(t, err)
		_, err = rt.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id})
		check(t, err)
	}
	ipOf := func(id string) string {
		st, err := rt.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id})
		check(t, err)
		return st.GetStatus().GetNetwork().GetIp()
	}
	_ = s.grants.Add(endpoint("web-0", "u0", "10.42.0.2/16"))
	first, _ := run("web-0", "u0")
	if got := ipOf(first); got != "10.42.0.2" {
		t.Errorf("the runtime says %s", got)
	}
	refused(t, "10.42.0.2:81")

	// The pod is re-created; its old sandbox is stopped while berth is away.
	stop()
	remove(first)
	s, _ = start(t, dir)
	_ = s.grants.Add(endpoint("web-0", "u1", "10.42.0.2/16"))
	var took []time.Duration
	for range 5 {
		id, d := run("web-0", "u1")
		took = append(took, d)
		refused(t, "10.42.0.2:81")
		remove(id)
	}
	eventually(t, s)
	slices.Sort(took)
	t.Logf("RunPodSandbox with network: median %s, worst %s", took[2], took[4])
	if left, _ := filepath.Glob("/var/lib/cni/*/" + Network(dir) + "-*"); len(left) > 0 {
		t.Error(left)
	}
}

// refused connects to a closed port: the pod's own kernel answers.
func refused(t *testing.T, addr string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err == nil {
		c.Close()
		err = fmt.Errorf("%s is open", addr)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}
