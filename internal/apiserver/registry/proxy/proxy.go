// Package proxy serves the proxy subresources of pods, services and nodes:
// requests that the API server passes on to a place inside of the cluster.
package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Dial opens connections to nodes, pods and services.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Locate finds out where the requests for an id ("name", "name:port" or
// "scheme:name:port") go, and how.
type Locate func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error)

// Options names the type of the query parameters.
type Options struct {
	New  func() runtime.Object
	Path func(runtime.Object) string
}

// REST serves one proxy subresource.
type REST struct {
	options Options
	locate  Locate
}

var _ rest.Connecter = &REST{}

// New returns the endpoint.
func New(options Options, locate Locate) *REST { return &REST{options, locate} }

// New implements rest.Storage.
func (r *REST) New() runtime.Object { return r.options.New() }

// Destroy implements rest.Storage; there is nothing to give back.
func (r *REST) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (r *REST) ConnectMethods() []string {
	return []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodHead, http.MethodOptions,
	}
}

// NewConnectOptions implements rest.Connecter: what follows in the path belongs to the target.
func (r *REST) NewConnectOptions() (runtime.Object, bool, string) {
	return r.options.New(), true, "path"
}

// Connect implements rest.Connecter.
func (r *REST) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	where, transport, err := r.locate(ctx, id)
	if err != nil {
		return nil, err
	}
	where.Path = utilnet.JoinPreservingTrailingSlash(where.Path, r.options.Path(options))
	return proxy.NewUpgradeAwareHandler(where, transport, true, false, proxy.NewErrorResponder(responder)), nil
}

// Transport carries requests to pods and services. Their certificates are
// nobody's that the API server could know, so they are not checked.
func Transport(dial Dial) http.RoundTripper {
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // as upstream: see above
	if dial != nil {
		t.DialContext = dial
	}
	return utilnet.SetTransportDefaults(t)
}

// Allowed refuses targets on the API server's own machine and special addresses.
func Allowed(ctx context.Context, host string) error {
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return err
	}
	if len(addresses) == 0 {
		return fmt.Errorf("no addresses for hostname")
	}
	for _, a := range addresses {
		if !a.IP.IsGlobalUnicast() {
			return fmt.Errorf("address not allowed")
		}
	}
	return nil
}
