package csi

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// callTimeout is how long a driver may take for one call, as upstream.
const callTimeout = 2 * time.Minute

// Driver is one driver that is registered on this node.
type Driver struct {
	Name string
	// NodeID is what the driver calls this node.
	NodeID string
	conn   *grpc.ClientConn
	node   csi.NodeClient
	// shown is how a path of this node is called where the driver runs.
	shown   func(path string) string
	timeout time.Duration
}

// dial connects to a socket when the first call is made.
func dial(socket string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///csi", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dialSocket(ctx, socket) }),
		// A driver that is started anew is found at once, not after a minute.
		grpc.WithConnectParams(reconnect), grpc.WithIdleTimeout(0))
}

// call makes one call, with a deadline, and names it in the error.
func call[Request, Answer any](ctx context.Context, d *Driver, name string, rpc func(context.Context, *Request, ...grpc.CallOption) (*Answer, error), request *Request) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	answer, err := rpc(ctx, request)
	if err != nil {
		return nil, &CallError{Call: name, Driver: d.Name, Err: err}
	}
	return answer, nil
}

// CallError is what came of a call that failed.
type CallError struct {
	Call, Driver string
	Err          error // of gRPC
}

func (e *CallError) Error() string {
	return fmt.Sprintf("%v (%s of driver %s)", e.Err, e.Call, e.Driver)
}

func (e *CallError) Unwrap() error { return e.Err }

// Capabilities are what a driver can do on a node.
type Capabilities struct {
	Stage, Expand, MountGroup, ManyWriters, Stats bool
}

// Capabilities asks the driver; it may be another version than a moment ago.
func (d *Driver) Capabilities(ctx context.Context) (Capabilities, error) {
	answer, err := call(ctx, d, "NodeGetCapabilities", d.node.NodeGetCapabilities, &csi.NodeGetCapabilitiesRequest{})
	if err != nil {
		return Capabilities{}, err
	}
	var c Capabilities
	for _, one := range answer.GetCapabilities() {
		switch one.GetRpc().GetType() {
		case csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME:
			c.Stage = true
		case csi.NodeServiceCapability_RPC_EXPAND_VOLUME:
			c.Expand = true
		case csi.NodeServiceCapability_RPC_VOLUME_MOUNT_GROUP:
			c.MountGroup = true
		case csi.NodeServiceCapability_RPC_GET_VOLUME_STATS:
			c.Stats = true
		case csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER:
			c.ManyWriters = true
		}
	}
	return c, nil
}
