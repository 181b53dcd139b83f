package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/pkg/sys"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/log"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	"google.golang.org/grpc"
)

// limit is how long a call goes on without its client: longer than any start
// or stop takes, so that only one that hangs is given up.
const limit = 10 * time.Minute

// finished are the calls of the CRI RuntimeService that are finished also when
// their client is gone. containerd's own cleanup after one that was broken off
// is not reliable: a task may be left that CRI has lost sight of, which can
// neither be stopped nor removed (containerd issue 11037).
var finished = map[string]bool{
	"/runtime.v1.RuntimeService/RunPodSandbox":    true,
	"/runtime.v1.RuntimeService/StopPodSandbox":   true,
	"/runtime.v1.RuntimeService/RemovePodSandbox": true,
	"/runtime.v1.RuntimeService/CreateContainer":  true,
	"/runtime.v1.RuntimeService/StartContainer":   true,
	"/runtime.v1.RuntimeService/StopContainer":    true,
	"/runtime.v1.RuntimeService/RemoveContainer":  true,
}

func init() {
	registry.Register(&plugin.Registration{
		Type:     plugins.ServerPlugin,
		ID:       "cri",
		Requires: []plugin.Type{plugins.GRPCPlugin},
		Config:   &config{},
		InitFn:   newServer,
	})
}

type config struct {
	// Address is the path of the socket; without one there is no server.
	Address string `toml:"address"`
}

type server struct {
	*grpc.Server
	address string
}

func newServer(ic *plugin.InitContext) (any, error) {
	address := ic.Config.(*config).Address
	if address == "" {
		return nil, plugin.ErrSkipPlugin
	}
	cri, err := ic.GetByID(plugins.GRPCPlugin, "cri")
	if err != nil {
		return nil, fmt.Errorf("find the CRI service: %w", err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(finish),
		grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize), grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize))
	if err := cri.(interface{ Register(*grpc.Server) error }).Register(s); err != nil {
		return nil, fmt.Errorf("register the CRI service: %w", err)
	}
	return server{Server: s, address: address}, nil
}

// finish detaches the calls that are finished from their client.
func finish(ctx context.Context, request any, call *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if finished[call.FullMethod] {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
	}
	return handle(ctx, request)
}

// Start serves until Close.
func (s server) Start(ctx context.Context) error {
	l, err := sys.GetLocalListener(s.address, os.Geteuid(), os.Getegid())
	if err != nil {
		return fmt.Errorf("listen for CRI calls: %w", err)
	}
	go func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			log.G(ctx).WithError(err).Fatal("the CRI server failed")
		}
	}()
	return nil
}

// Close ends the server and breaks off its calls.
func (s server) Close() error {
	s.Stop()
	return nil
}
