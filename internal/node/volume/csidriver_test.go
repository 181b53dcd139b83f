package volume

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"berth.dev/berth/internal/node/csi"
)

// fakeDriver is a driver in the test's process, on real sockets.
type fakeDriver struct {
	spec.UnimplementedNodeServer
	registerapi.UnimplementedRegistrationServer
	endpoint string
	told     chan *registerapi.RegistrationStatus
	can      []spec.NodeServiceCapability_RPC_Type // beside staging

	mu        sync.Mutex
	calls     []string
	hangs     string // the call that does not answer
	published []*spec.NodePublishVolumeRequest
}

func (d *fakeDriver) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{Type: registerapi.CSIPlugin, Name: "d", Endpoint: d.endpoint, SupportedVersions: []string{"0.3.0", "1.0.0"}}, nil
}

func (d *fakeDriver) NotifyRegistrationStatus(_ context.Context, s *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	d.told <- s
	return &registerapi.RegistrationStatusResponse{}, nil
}

func (d *fakeDriver) note(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	method := filepath.Base(info.FullMethod)
	d.mu.Lock()
	d.calls = append(d.calls, method)
	hangs := d.hangs == method
	d.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return handle(ctx, request)
}

// since are the calls since it was last asked, without questions about the driver.
func (d *fakeDriver) since() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := slices.DeleteFunc(d.calls, func(c string) bool { return strings.HasPrefix(c, "NodeGet") })
	d.calls = nil
	return strings.Join(calls, " ")
}

// asked counts the calls of a method since then.
func (d *fakeDriver) asked(method string) (count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.calls {
		if c == method {
			count++
		}
	}
	return count
}

func (d *fakeDriver) hang(method string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs = method
}

func (d *fakeDriver) NodeGetInfo(context.Context, *spec.NodeGetInfoRequest) (*spec.NodeGetInfoResponse, error) {
	return &spec.NodeGetInfoResponse{NodeId: "me"}, nil
}

func (d *fakeDriver) NodeGetCapabilities(context.Context, *spec.NodeGetCapabilitiesRequest) (*spec.NodeGetCapabilitiesResponse, error) {
	out := &spec.NodeGetCapabilitiesResponse{}
	for _, t := range append([]spec.NodeServiceCapability_RPC_Type{spec.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME}, d.can...) {
		out.Capabilities = append(out.Capabilities, &spec.NodeServiceCapability{Type: &spec.NodeServiceCapability_Rpc{Rpc: &spec.NodeServiceCapability_RPC{Type: t}}})
	}
	return out, nil
}

func (d *fakeDriver) NodeGetVolumeStats(_ context.Context, r *spec.NodeGetVolumeStatsRequest) (*spec.NodeGetVolumeStatsResponse, error) {
	if r.VolumeId != "h" || !isMountPoint(r.VolumePath) {
		return nil, fmt.Errorf("asked for %v", r)
	}
	return &spec.NodeGetVolumeStatsResponse{Usage: []*spec.VolumeUsage{
		{Unit: spec.VolumeUsage_BYTES, Total: 100, Used: 30, Available: 60}, {Unit: spec.VolumeUsage_INODES, Total: 10, Used: 3, Available: 7},
	}}, nil
}

func (d *fakeDriver) NodeStageVolume(_ context.Context, r *spec.NodeStageVolumeRequest) (*spec.NodeStageVolumeResponse, error) {
	return &spec.NodeStageVolumeResponse{}, unix.Mount("tmpfs", r.StagingTargetPath, "tmpfs", 0, "")
}

func (d *fakeDriver) NodeUnstageVolume(_ context.Context, r *spec.NodeUnstageVolumeRequest) (*spec.NodeUnstageVolumeResponse, error) {
	return &spec.NodeUnstageVolumeResponse{}, unmount(r.StagingTargetPath)
}

func (d *fakeDriver) NodePublishVolume(_ context.Context, r *spec.NodePublishVolumeRequest) (*spec.NodePublishVolumeResponse, error) {
	d.mu.Lock()
	d.published = append(d.published, r)
	d.mu.Unlock()
	err := os.MkdirAll(r.TargetPath, 0o755)
	if err == nil && !isMountPoint(r.TargetPath) {
		err = unix.Mount(r.StagingTargetPath, r.TargetPath, "", unix.MS_BIND, "")
	}
	return &spec.NodePublishVolumeResponse{}, err
}

func (d *fakeDriver) NodeUnpublishVolume(_ context.Context, r *spec.NodeUnpublishVolumeRequest) (*spec.NodeUnpublishVolumeResponse, error) {
	return &spec.NodeUnpublishVolumeResponse{}, errors.Join(unmount(r.TargetPath), os.RemoveAll(r.TargetPath))
}

// publishes are the calls to publish so far.
func (d *fakeDriver) publishes() []*spec.NodePublishVolumeRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.published)
}

// serve serves the driver until the test ends or stop is called.
func (d *fakeDriver) serve(t *testing.T, root string) (stop func()) {
	t.Helper()
	dir := filepath.Join(root, "plugins", "d")
	if err := errors.Join(os.MkdirAll(dir, 0o750), os.MkdirAll(filepath.Join(root, "plugins_registry"), 0o750)); err != nil {
		t.Fatal(err)
	}
	d.endpoint = filepath.Join(dir, "s")
	node, registration := grpc.NewServer(grpc.UnaryInterceptor(d.note)), grpc.NewServer()
	spec.RegisterNodeServer(node, d)
	registerapi.RegisterRegistrationServer(registration, d)
	listen := func(server *grpc.Server, path string) {
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.Serve(listener) }() // Stop ends it
	}
	listen(node, d.endpoint)
	listen(registration, filepath.Join(root, "plugins_registry", "d"))
	stop = func() { registration.Stop(); node.Stop() }
	t.Cleanup(stop)
	return stop
}

func drivenVolume(attach bool) (*storagev1.CSIDriver, *corev1.PersistentVolume, *corev1.PersistentVolumeClaim) {
	object := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: storagev1.CSIDriverSpec{AttachRequired: &attach}}
	pv := localPV("pv", "", "n1")
	pv.Spec.Local, pv.Spec.NodeAffinity = nil, nil
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "h"}
	return object, pv, bound("f", "pv")
}

// drivenNode is a node whose drivers register in a folder with a short name.
func drivenNode(t *testing.T, attach bool, change ...func(*Config, *storagev1.CSIDriver, *corev1.PersistentVolume)) (*node, string) {
	t.Helper()
	needsMounts(t)
	root, err := os.MkdirTemp("", "csi") //nolint:usetesting // a socket below it has to have a short name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(unmountUnder(root), os.RemoveAll(root)) })
	object, pv, claim := drivenVolume(attach)
	n := start(t, func(cfg *Config) {
		cfg.Root, cfg.NodeName = root, "n1"
		for _, c := range change {
			c(cfg, object, pv)
		}
	})
	registry := csi.New(csi.Config{Root: root, NodeName: "n1", Client: n.client, Timeout: time.Second, Changed: n.DriverCame})
	n.cfg.Drivers = registry
	here := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-uid"}}
	if err := errors.Join(n.client.Tracker().Add(object), n.client.Tracker().Add(pv), n.client.Tracker().Add(claim), n.client.Tracker().Add(here)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- registry.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n, root
}

func (n *node) sets(t *testing.T, uid types.UID) error {
	t.Helper()
	_, err := n.Setup(t.Context(), pod(string(uid), claimVolume("f")))
	return err
}
