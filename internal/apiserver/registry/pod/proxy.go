package pod

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"berth.dev/berth/internal/apiserver/registry/proxy"
)

// NewProxy serves pods/proxy.
func NewProxy(store *genericregistry.Store, transport http.RoundTripper) *proxy.REST {
	return proxy.New(proxy.Options{
		New:  func() runtime.Object { return &corev1.PodProxyOptions{} },
		Path: func(o runtime.Object) string { return o.(*corev1.PodProxyOptions).Path },
	}, func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error) {
		scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
		if !ok {
			return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
		}
		obj, err := store.Get(ctx, name, &metav1.GetOptions{})
		if err != nil {
			return nil, nil, err
		}
		host, err := hostOf(obj.(*corev1.Pod), port)
		if err != nil {
			return nil, nil, err
		}
		return &url.URL{Scheme: scheme, Host: host}, transport, nil
	})
}

// hostOf is the pod's address with the port, or else with the first that it declares.
func hostOf(pod *corev1.Pod, port string) (string, error) {
	for i := 0; port == "" && i < len(pod.Spec.Containers); i++ {
		if ports := pod.Spec.Containers[i].Ports; len(ports) > 0 {
			port = strconv.Itoa(int(ports[0].ContainerPort))
		}
	}
	address := ""
	if len(pod.Status.PodIPs) > 0 {
		address = pod.Status.PodIPs[0].IP
	}
	if ip := net.ParseIP(address); ip == nil || !ip.IsGlobalUnicast() {
		return "", apierrors.NewBadRequest("address not allowed")
	}
	switch {
	case port != "":
		return net.JoinHostPort(address, port), nil
	case strings.Contains(address, ":"):
		return "[" + address + "]", nil
	}
	return address, nil
}

// NewNodeProxy serves nodes/proxy: the node's agent, or another port of the node.
func NewNodeProxy(nodes *Nodes, transport http.RoundTripper) *proxy.REST {
	return proxy.New(proxy.Options{
		New:  func() runtime.Object { return &corev1.NodeProxyOptions{} },
		Path: func(o runtime.Object) string { return o.(*corev1.NodeProxyOptions).Path },
	}, func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error) {
		scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
		if !ok {
			return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", id))
		}
		agent, err := nodes.agent(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		if err := proxy.Allowed(ctx, agent.Hostname()); err != nil {
			return nil, nil, apierrors.NewBadRequest(err.Error())
		}
		if port == "" || port == agent.Port() {
			return agent, nodes.verified, nil
		}
		return &url.URL{Scheme: scheme, Host: net.JoinHostPort(agent.Hostname(), port)}, transport, nil
	})
}
