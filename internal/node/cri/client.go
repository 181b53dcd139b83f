package cri

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
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

// Name is what the runtime calls itself ("containerd"); container IDs in the
// API carry it as a prefix.
func (c *Client) Name(ctx context.Context) (string, error) {
	v, err := c.Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return "", fmt.Errorf("asking the container runtime for its version: %w", err)
	}
	return v.RuntimeName, nil
}
