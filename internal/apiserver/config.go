package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server/flagz"
	serveroptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/presence"
	"berth.dev/berth/internal/apiserver/registry/proxy"
	"berth.dev/berth/internal/apiserver/registry/serviceaccount"
	"berth.dev/berth/internal/datastore"
)

// Config is all that the server is made of. Only Kinds, Datastore, TLS and
// ServiceCIDRs must be set.
type Config struct {
	Kinds     []api.Kind
	Datastore *datastore.Store

	TLS TLS
	// BindAddress and Port say where to listen; port 0 picks a free one.
	BindAddress string
	Port        int
	// AdvertiseAddress is where pods and other machines reach this server: the
	// endpoint of the kubernetes Service. Without it that Service has no endpoint.
	AdvertiseAddress netip.Addr

	// Flags are shown at /flagz, to those who may monitor; nil shows nothing.
	Flags flagz.Reader
	// ServiceCIDRs are one range, or one of each family; the first is preferred.
	ServiceCIDRs []netip.Prefix
	// ServiceNodePortRange defaults to upstream's 30000-32767.
	ServiceNodePortRange utilnet.PortRange

	// Authenticator, Authorizer and Admission are asked for once, while the
	// server is built; their informers start with it. A nil Authenticator knows
	// only in-process clients, a nil Authorizer allows everything. An
	// Authorizer must let system:masters and the health paths pass.
	Authenticator func(Parts) (authenticator.Request, error)
	Authorizer    func(Parts) (authorizer.Authorizer, authorizer.RuleResolver, error)
	Admission     func(Parts) (admission.Interface, error)
	// Transform slims the objects that the server's own informers keep.
	Transform cache.TransformFunc
	// Audiences are what a token must be made for to be accepted here.
	Audiences authenticator.Audiences
	// Tokens mints service account tokens; nil leaves serviceaccounts/token unserved.
	Tokens serviceaccount.Minter
	// Encryption of what is stored.
	Encryption Encryption
	// Audit notes requests; nil, or without a policy, notes none.
	Audit *serveroptions.AuditOptions
	// NodeClient is the TLS identity towards node agents, for logs and exec.
	NodeClient NodeClient
	// Dial reaches nodes, pods and services; nil dials as usual.
	Dial proxy.Dial

	// FrontProxy is the TLS identity towards aggregated API servers.
	FrontProxy FrontProxy
	// SpareTime, when not nil, is closed when the machine has time for writes
	// that nobody waits for.
	SpareTime <-chan struct{}

	// Hooks run once the server answers requests; it is ready when all are done.
	// One that fails is tried again.
	Hooks []Hook
	// Storage adds endpoints that are no declared kind, such as access reviews.
	Storage func(Parts) (map[schema.GroupVersion]map[string]rest.Storage, error)
	// Handlers serves further paths, for example /.well-known/openid-configuration.
	Handlers map[string]Handler
}

// TLS are PEM files. They are watched, so that rotated ones are served without a restart.
type TLS struct {
	CertFile, KeyFile string
	// ClientCAFile holds the authorities whose client certificates are asked for.
	ClientCAFile string
	// FrontProxyCAFile holds those of clients that speak for others.
	FrontProxyCAFile string
}

// NodeClient are the PEM files for connections to node agents.
type NodeClient struct {
	CertFile, KeyFile string
	// CAFile verifies the agents' serving certificates; empty skips that.
	CAFile string
}

// FrontProxy are the PEM files by which an aggregated API server knows that
// what a request says about its user is true.
type FrontProxy struct{ CertFile, KeyFile string }

// Parts are what authentication, authorization, admission and hooks may use.
type Parts struct {
	// Config and Client are privileged (group system:masters).
	Config *restclient.Config
	Client kubernetes.Interface
	// Informers are started by the server, which is not ready before they have synced.
	Informers informers.SharedInformerFactory
	// Authorizer and Rules are set for admission, storage and hooks.
	Authorizer authorizer.Authorizer
	Rules      authorizer.RuleResolver
	// Presence tells when a resource gets its first object. Whoever waits for
	// one must say so while admission is built, before the endpoints are.
	Presence *presence.Board
	// Services finds where a Service that is a webhook is reached.
	Services webhook.ServiceResolver
	// Stopped is closed when the server stops.
	Stopped <-chan struct{}
}

// Hook is work to be done at every start, for example creating the default roles.
type Hook struct {
	Name string // shown as poststarthook/<name> by /readyz
	Run  func(context.Context, Parts) error
}

func (c *Config) check() error {
	if c.Datastore == nil {
		return errors.New("apiserver: no datastore")
	}
	if len(c.ServiceCIDRs) == 0 || len(c.ServiceCIDRs) > 2 {
		return fmt.Errorf("apiserver: one or two service CIDRs are needed, got %v", c.ServiceCIDRs)
	}
	if len(c.ServiceCIDRs) == 2 && c.ServiceCIDRs[0].Addr().Is4() == c.ServiceCIDRs[1].Addr().Is4() {
		return fmt.Errorf("apiserver: two service CIDRs must be of different families, got %v", c.ServiceCIDRs)
	}
	if c.ServiceNodePortRange.Size == 0 {
		c.ServiceNodePortRange = utilnet.PortRange{Base: 30000, Size: 2768}
	}
	return nil
}
