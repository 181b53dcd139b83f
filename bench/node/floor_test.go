package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/runtime"
	"berth.dev/berth/test/e2e/cluster"
)

const (
	floorStart = "floor: sandbox and container"
	floorStop  = "floor: stop and remove both"
	floorMany  = "floor: 30 at once"
)

// container runtime of the cluster, asked directly.
type direct struct {
	runtimeapi.RuntimeServiceClient
	logs    string
	mounts  []*runtimeapi.Mount
	seccomp string // of sandboxes
}

// dial reaches the runtime's socket through the host's own file system.
func dial(b *testing.B, c *cluster.Cluster) *direct {
	b.Helper()
	socket := c.Host.Path(datadir.Dir(c.Data).CRISocket())
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	logs := filepath.Join(c.Host.Dir, "floor")
	d := &direct{RuntimeServiceClient: runtimeapi.NewRuntimeServiceClient(conn), logs: logs, seccomp: runtime.Config{Dir: datadir.Dir(c.Data)}.PauseSeccomp()}
	// A pod has its volume, its token, its hosts and its termination log.
	for _, path := range []string{"/data", "/var/run/secrets/kubernetes.io/serviceaccount", "/etc/hosts", "/dev/termination-log"} {
		from := filepath.Join(logs, filepath.Base(path))
		if err := os.MkdirAll(from, 0o755); err != nil {
			b.Fatal(err)
		}
		if strings.HasPrefix(path, "/etc") || strings.HasPrefix(path, "/dev") {
			from = filepath.Join(from, "file")
			if err := os.WriteFile(from, nil, 0o644); err != nil {
				b.Fatal(err)
			}
		}
		d.mounts = append(d.mounts, &runtimeapi.Mount{HostPath: from, ContainerPath: path})
	}
	return d
}

// sandbox is on the node's network: how a pod gets its own is the agent's part.
func (d *direct) sandbox(name string) *runtimeapi.PodSandboxConfig {
	network := &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE, Pid: runtimeapi.NamespaceMode_CONTAINER}
	return &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "floor", Uid: name},
		LogDirectory: d.logs,
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
				NamespaceOptions: network,
				Seccomp:          &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: d.seccomp},
			},
		},
	}
}

// start runs one demo container and says how to end it.
func (d *direct) start(ctx context.Context, name string) (stop func() error, err error) {
	config := d.sandbox(name)
	sb, err := d.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		return nil, err
	}
	created, err := d.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: sb.PodSandboxId, SandboxConfig: config,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "demo"},
			Image:    &runtimeapi.ImageSpec{Image: demo},
			// Many of them share one network.
			Args:    []string{"-listen", "127.0.0.1:0"},
			LogPath: name + ".log",
			Mounts:  d.mounts,
			Linux: &runtimeapi.LinuxContainerConfig{
				Resources:       &runtimeapi.LinuxContainerResources{CpuShares: 2, OomScoreAdj: 1000},
				SecurityContext: &runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: config.Linux.SecurityContext.NamespaceOptions},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	if _, err := d.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return nil, err
	}
	return func() error {
		if _, err := d.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: created.ContainerId, Timeout: 5}); err != nil {
			return err
		}
		if _, err := d.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: sb.PodSandboxId}); err != nil {
			return err
		}
		_, err := d.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sb.PodSandboxId})
		return err
	}, nil
}

// floor is what one pod costs the runtime alone.
func (t *bench) floor(d *direct) {
	var starts, stops []time.Duration
	for i := range *single {
		began := time.Now()
		stop, err := d.start(t.B.Context(), fmt.Sprintf("one-%d", i))
		if err != nil {
			t.B.Fatal(err)
		}
		starts = append(starts, time.Since(began))
		began = time.Now()
		if err := stop(); err != nil {
			t.B.Fatal(err)
		}
		stops = append(stops, time.Since(began))
	}
	t.sample[floorStart] = figure.Percentile(starts, 50)
	t.sample[floorStart+" p99"] = figure.Percentile(starts, 99)
	t.sample[floorStop] = figure.Percentile(stops, 50)
}

// floorBurst is the runtime's own rate when n are asked for at once.
func (t *bench) floorBurst(d *direct, n int) {
	var all sync.WaitGroup
	stops, errs := make([]func() error, n), make([]error, n)
	began := time.Now()
	for i := range n {
		all.Go(func() { stops[i], errs[i] = d.start(t.B.Context(), fmt.Sprintf("many-%d", i)) })
	}
	all.Wait()
	t.sample[floorMany] = float64(n) / time.Since(began).Seconds()
	for i, stop := range stops {
		if errs[i] != nil {
			t.B.Fatal(errs[i])
		}
		if err := stop(); err != nil {
			t.B.Fatal(err)
		}
	}
}
