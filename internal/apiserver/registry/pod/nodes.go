package pod

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/apiserver/registry/proxy"
)

// Nodes connects to the agents of nodes.
type Nodes struct {
	get      func(ctx context.Context, name string) (*corev1.Node, error)
	verified http.RoundTripper
	// unverified is for clients that ask to skip the check of the agent's certificate.
	unverified http.RoundTripper
	// streams is verified, for connections that are upgraded.
	streams http.RoundTripper
}

// dialWithin bounds how long a dead node keeps a client waiting.
const dialWithin = 30 * time.Second

// NewNodes connects with the given client certificate; a nil dial is a plain one.
func NewNodes(get func(ctx context.Context, name string) (*corev1.Node, error), tls rest.TLSClientConfig, dial proxy.Dial) (*Nodes, error) {
	n := &Nodes{get: get}
	tls.Insecure = tls.CAFile == ""
	var err error
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialWithin, KeepAlive: dialWithin}).DialContext
	}
	if n.verified, err = roundTripper(tls, dial); err != nil {
		return nil, err
	}
	if n.streams, err = roundTripper(tls, drain(dial)); err != nil {
		return nil, err
	}
	tls.Insecure, tls.CAFile = true, ""
	if n.unverified, err = roundTripper(tls, dial); err != nil {
		return nil, err
	}
	return n, nil
}

func roundTripper(tls rest.TLSClientConfig, dial func(context.Context, string, string) (net.Conn, error)) (http.RoundTripper, error) {
	config, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: tls})
	if err != nil {
		return nil, fmt.Errorf("client certificate for node agents: %w", err)
	}
	return utilnet.SetOldTransportDefaults(&http.Transport{
		TLSClientConfig:     config,
		DialContext:         dial,
		MaxIdleConnsPerHost: 4,
	}), nil
}

// agent is the address of a node's agent.
func (n *Nodes) agent(ctx context.Context, name string) (*url.URL, error) {
	node, err := n.get(ctx, name)
	if err != nil {
		return nil, err
	}
	host, err := addressOf(node)
	if err != nil {
		return nil, err
	}
	port := node.Status.DaemonEndpoints.KubeletEndpoint.Port
	if port <= 0 {
		port = 10250
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}, nil
}

func addressOf(node *corev1.Node) (string, error) {
	for _, wanted := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeInternalDNS, corev1.NodeHostName} {
		for _, a := range node.Status.Addresses {
			if a.Type == wanted && a.Address != "" {
				return a.Address, nil
			}
		}
	}
	return "", fmt.Errorf("no preferred addresses found; known addresses: %v", node.Status.Addresses)
}

// largestUsage fits what a node with thousands of containers says.
const largestUsage = 16 << 20

// Usage is what the node's agent says about the use of processors and memory,
// in the form of the kubelet's /metrics/resource.
func (n *Nodes) Usage(ctx context.Context, name string) ([]byte, error) {
	at, err := n.agent(ctx, name)
	if err != nil {
		return nil, err
	}
	at.Path = "/metrics/resource"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := n.verified.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, largestUsage))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.200s", at, answer.Status, text)
	}
	return text, err
}
