package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"berth.dev/berth/internal/apiserver/registry/proxy"
)

// Backends is where services/proxy finds the pods behind a Service.
type Backends struct {
	Services rest.Getter
	Slices   rest.Lister
	Pods     rest.Getter
}

// NewProxy serves services/proxy.
func NewProxy(b Backends, transport http.RoundTripper) *proxy.REST {
	return proxy.New(proxy.Options{
		New:  func() runtime.Object { return &corev1.ServiceProxyOptions{} },
		Path: func(o runtime.Object) string { return o.(*corev1.ServiceProxyOptions).Path },
	}, func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error) {
		scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
		if !ok {
			return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
		}
		port, err := b.portName(ctx, name, port)
		if err != nil {
			return nil, nil, err
		}
		host, err := b.pick(ctx, id, name, port)
		if err != nil {
			return nil, nil, err
		}
		return &url.URL{Scheme: scheme, Host: host}, transport, nil
	})
}

// portName is the name of a Service's port that is given by number or name.
func (b *Backends) portName(ctx context.Context, name, port string) (string, error) {
	number, err := strconv.ParseInt(port, 10, 64)
	numbered := err == nil
	obj, err := b.Services.Get(ctx, name, &metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !numbered:
		return "", apierrors.NewNotFound(corev1.Resource("endpoints"), name)
	case err != nil:
		return "", err
	case !numbered:
		return port, nil
	}
	for _, p := range obj.(*corev1.Service).Spec.Ports {
		if int64(p.Port) == number {
			return p.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, name))
}

// pick chooses a ready pod with the port at random.
func (b *Backends) pick(ctx context.Context, id, name, port string) (string, error) {
	obj, err := b.Slices.List(ctx, &metainternalversion.ListOptions{
		LabelSelector:   labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: name}),
		ResourceVersion: "0",
	})
	if err != nil {
		return "", err
	}
	slices := obj.(*discoveryv1.EndpointSliceList).Items
	var hosts []candidate
	some := false
	for i := range slices {
		some = some || len(slices[i].Endpoints) > 0
		hosts = append(hosts, candidates(&slices[i], port)...)
	}
	if !some {
		id = name
	}
	for _, i := range rand.Perm(len(hosts)) {
		if b.isPod(ctx, &hosts[i]) {
			return net.JoinHostPort(hosts[i].address, strconv.Itoa(hosts[i].port)), nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", id))
}

type candidate struct {
	address string
	port    int
	pod     *corev1.ObjectReference
}

func candidates(slice *discoveryv1.EndpointSlice, port string) []candidate {
	number := int32(0)
	for _, p := range slice.Ports {
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if name == port && p.Port != nil {
			number = *p.Port
		}
	}
	if number == 0 {
		return nil
	}
	var out []candidate
	for _, e := range slice.Endpoints {
		if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
			out = append(out, candidate{e.Addresses[0], int(number), e.TargetRef})
		}
	}
	return out
}

// isPod says whether the address is that of a pod of this namespace. Nothing
// else is connected to: anybody may write an endpoint.
func (b *Backends) isPod(ctx context.Context, c *candidate) bool {
	if c.pod == nil || c.pod.Namespace != request.NamespaceValue(ctx) {
		return false
	}
	obj, err := b.Pods.Get(ctx, c.pod.Name, &metav1.GetOptions{})
	if err != nil {
		return false
	}
	for _, ip := range obj.(*corev1.Pod).Status.PodIPs {
		if ip.IP == c.address {
			return true
		}
	}
	return false
}
