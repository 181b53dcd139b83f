// Command csidriver is a storage driver of the test's own: a folder, or a file
// for block volumes, per volume. It does what a driver may expect to be true of
// a cluster, and refuses what must not happen: staging what is not attached,
// publishing what is not staged, deleting what is in use.
//
// Nothing is kept in memory. It writes each call to a file, for the test to read.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	registerapi.UnimplementedRegistrationServer

	name, nodeID, root, endpoint string
	limit                        int64

	mu    sync.Mutex
	calls *os.File
}

func main() {
	d := &driver{}
	flag.StringVar(&d.name, "name", "", "the driver's name")
	flag.StringVar(&d.nodeID, "node", "", "what this node is called; empty serves the controller's half alone")
	flag.StringVar(&d.root, "root", "/volumes", "where volumes are")
	flag.StringVar(&d.endpoint, "endpoint", "", "the path of the socket on the node")
	flag.Int64Var(&d.limit, "limit", 0, "how many volumes the node may have")
	socket := flag.String("socket", "", "the socket to serve")
	register := flag.String("register", "", "the socket to register by")
	sidecars := flag.Bool("control", false, "do what the sidecars of a chart do")
	flag.Parse()
	var err error
	if d.calls, err = os.OpenFile(filepath.Join(d.root, "calls"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(d.note))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	if *sidecars {
		c, err := newControl(d)
		if err != nil {
			log.Fatal(err)
		}
		go c.run(context.Background())
	}
	failed := make(chan error)
	go func() { failed <- serve(server, *socket) }()
	registration := grpc.NewServer()
	if *register != "" {
		registerapi.RegisterRegistrationServer(registration, d)
		go func() { failed <- serve(registration, *register) }()
	}
	ending, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-ending.Done():
		registration.Stop() // its socket goes
	}
}

func serve(server *grpc.Server, socket string) error {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) { // what a kill left
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

// note writes a call down. A file "hang-METHOD" holds it until the file goes.
func (d *driver) note(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	method := filepath.Base(info.FullMethod)
	for {
		if _, err := os.Stat(filepath.Join(d.root, "hang-"+method)); err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	answer, err := handle(ctx, request)
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.calls, "%s %v error=%v\n", method, request, err)
	return answer, err
}

func (d *driver) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{Type: registerapi.CSIPlugin, Name: d.name, Endpoint: d.endpoint, SupportedVersions: []string{"1.0.0"}}, nil
}

func (d *driver) NotifyRegistrationStatus(_ context.Context, s *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	log.Printf("registered: %v %s", s.PluginRegistered, s.Error)
	return &registerapi.RegistrationStatusResponse{}, nil
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	service := func(t csi.PluginCapability_Service_Type) *csi.PluginCapability {
		return &csi.PluginCapability{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: t}}}
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		service(csi.PluginCapability_Service_CONTROLLER_SERVICE),
		service(csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS),
		{Type: &csi.PluginCapability_VolumeExpansion_{VolumeExpansion: &csi.PluginCapability_VolumeExpansion{Type: csi.PluginCapability_VolumeExpansion_ONLINE}}},
	}}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}
