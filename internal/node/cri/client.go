package cri

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// longestMessage fits the status of a pod with many containers (upstream's limit).
const longestMessage = 16 << 20

// Client is a connection to a container runtime.
type Client struct {
	runtimeapi.RuntimeServiceClient
	Images runtimeapi.ImageServiceClient
	conn   *grpc.ClientConn
}

// Dial connects lazily: the runtime need not be there yet. The endpoint is a
// path or a unix:// URL.
func Dial(endpoint string) (*Client, error) {
	target := endpoint
	if strings.HasPrefix(endpoint, "/") {
		target = "unix://" + endpoint
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
		// The library's own second of pause would be most of what a restart of
		// the runtime costs a pod.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(longestMessage), grpc.WaitForReady(true)),
	)
	if err != nil {
		return nil, fmt.Errorf("container runtime at %s: %w", endpoint, err)
	}
	return New(conn), nil
}

// New uses a connection that exists; Close closes it.
func New(conn *grpc.ClientConn) *Client {
	return &Client{
		RuntimeServiceClient: runtimeapi.NewRuntimeServiceClient(conn),
		Images:               runtimeapi.NewImageServiceClient(conn),
		conn:                 conn,
	}
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// AwaitVersion asks who the runtime is until it has initialized, for as long as
// ctx lasts: containerd opens its socket a moment earlier and has no event for that.
func (c *Client) AwaitVersion(ctx context.Context) (*runtimeapi.VersionResponse, error) {
	for {
		v, err := c.Version(ctx, &runtimeapi.VersionRequest{})
		if status.Code(err) != codes.Unavailable {
			return v, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Name is what the runtime calls itself ("containerd"); container IDs in the
// API carry it as a prefix.
func (c *Client) Name(ctx context.Context) (string, error) {
	v, err := c.Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return "", fmt.Errorf("asking the container runtime for its version: %w", err)
	}
	return v.RuntimeName, nil
}
