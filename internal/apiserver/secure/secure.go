package secure

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver"
	berthadmission "berth.dev/berth/internal/apiserver/admission"
	"berth.dev/berth/internal/apiserver/authn"
	"berth.dev/berth/internal/apiserver/authz"
	"berth.dev/berth/internal/apiserver/bootstrap"
	"berth.dev/berth/internal/apiserver/bootstrap/policy"
	"berth.dev/berth/internal/pki"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Options are what the configuration does not know yet.
type Options struct {
	// PKI is what pki.Ensure returned.
	PKI *pki.Set
	// Authentication is what the administrator says about it; nil means the defaults.
	Authentication *authn.Settings
	// ClusterDomain makes the issuer of service account tokens; "cluster.local" when empty.
	ClusterDomain string
	// RolesAfter, when not nil, is closed when the machine has time to write the
	// default roles, for example once the node is Ready. Until they are written
	// the compiled-in ones count. Without it they are written at once.
	RolesAfter <-chan struct{}
	// RolesAtTheLatest bounds the wait for RolesAfter; 0 means five seconds.
	RolesAtTheLatest time.Duration
	// TaintNewNodes: see admission.Options.
	TaintNewNodes bool
	// ServerToken reads the token of the cluster's servers; nil knows none.
	ServerToken func() (string, error)
	Logger      *slog.Logger // nil: silence
	Clock       clock.Clock  // nil: real time
}

// Apply sets everything in c that identity and rights need. It leaves alone
// what they do not: addresses, ranges, kinds, the datastore.
func Apply(c *apiserver.Config, o Options) error {
	if o.PKI == nil {
		return errors.New("secure: no certificates given")
	}
	if o.ClusterDomain == "" {
		o.ClusterDomain = "cluster.local"
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Authentication == nil {
		settings := authn.DefaultSettings()
		o.Authentication = &settings
	}
	if o.RolesAtTheLatest == 0 {
		o.RolesAtTheLatest = 5 * time.Second
	}
	c.TLS = apiserver.TLS{CertFile: o.PKI.APIServer.CertFile, KeyFile: o.PKI.APIServer.KeyFile, ClientCAFile: o.PKI.CAFile, FrontProxyCAFile: o.PKI.FrontProxyCAFile}
	c.NodeClient = apiserver.NodeClient{CertFile: o.PKI.KubeletClient.CertFile, KeyFile: o.PKI.KubeletClient.KeyFile, CAFile: o.PKI.CAFile}
	c.FrontProxy = apiserver.FrontProxy{CertFile: o.PKI.FrontProxy.CertFile, KeyFile: o.PKI.FrontProxy.KeyFile}
	c.SpareTime = o.RolesAfter
	p := &parts{o: o, builtIn: builtIn(c.Kinds)}
	if err := p.tokens(c); err != nil {
		return err
	}
	c.Authenticator = p.authenticator
	c.Authorizer = p.authorizer
	c.Admission = p.admission
	c.Hooks = append(c.Hooks,
		apiserver.Hook{Name: "start-system-namespaces-controller", Run: func(ctx context.Context, s apiserver.Parts) error {
			return bootstrap.Namespaces(ctx, s.Client, s.Informers)
		}},
		apiserver.Hook{Name: "rbac/bootstrap-roles", Run: p.startRoles},
		apiserver.Hook{Name: "start-cluster-authentication-info-controller", Run: p.publishTrust},
		apiserver.Hook{Name: "scheduling/bootstrap-system-priority-classes", Run: p.startPriorityClasses},
		apiserver.Hook{Name: "priority-and-fairness-config-producer", Run: p.startFlowControl},
	)
	return nil
}

// parts are made step by step while the server is built, in the order in
// which it asks for them.
type parts struct {
	o          Options
	issuers    []string
	audiences  authenticator.Audiences
	accepted   authenticator.Token
	issuer     *authn.Issuer
	authorizes *authz.Authorizer
	roles      *bootstrap.Roles
	builtIn    []string
}

// builtIn are the groups of kinds that others bring as definitions of their own.
func builtIn(kinds []api.Kind) []string {
	var all []string
	for _, k := range kinds {
		if g := k.GVK.Group; strings.Contains(g, ".") && (!strings.HasSuffix(g, ".k8s.io") || g == snapshotv1.GroupName) && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

func (p *parts) keys() []*ecdsa.PublicKey {
	return []*ecdsa.PublicKey{&p.o.PKI.ServiceAccountKey.PublicKey}
}

// tokens sets what issues and explains service account tokens.
func (p *parts) tokens(c *apiserver.Config) error {
	settings := p.o.Authentication
	if p.issuers = settings.Issuers; len(p.issuers) == 0 {
		p.issuers = []string{"https://kubernetes.default.svc." + p.o.ClusterDomain}
	}
	if p.audiences = settings.Audiences; len(p.audiences) == 0 {
		p.audiences = p.issuers
	}
	issuer, err := authn.NewIssuer(p.issuers[0], p.o.PKI.ServiceAccountKey)
	if err != nil {
		return err
	}
	p.issuer = issuer
	discovery, err := authn.NewDiscovery(p.issuers[0], p.keys())
	if err != nil {
		return err
	}
	c.Audiences = p.audiences
	c.Tokens = &authn.Minter{Issuer: issuer, Audiences: p.audiences, MaxSeconds: int64(settings.MaxTokenLife.Seconds()), NoStretch: !settings.ExtendTokens, Clock: p.o.Clock}
	c.Storage = p.reviews
	if c.Handlers == nil {
		c.Handlers = map[string]apiserver.Handler{}
	}
	for _, path := range []string{authn.ConfigurationPath, authn.KeysPath} {
		c.Handlers[path] = apiserver.Handler{Handler: http.Handler(discovery)}
	}
	return nil
}

func (p *parts) authenticator(s apiserver.Parts) (authenticator.Request, error) {
	live := authn.Live(s.Client)
	accounts, err := authn.NewVerifier(authn.VerifierOptions{
		Issuers: p.issuers, Keys: p.keys(), Audiences: p.audiences,
		Live: live, Cached: authn.Cached(s.Informers), Clock: p.o.Clock,
	})
	if err != nil {
		return nil, err
	}
	identity, err := authn.NewIdentity(wait.ContextForChannel(s.Stopped), *p.o.Authentication, p.issuers, p.audiences)
	if err != nil {
		return nil, err
	}
	joining := &authn.BootstrapTokens{Secrets: live, Join: p.o.PKI.JoinToken, Clock: p.o.Clock}
	p.accepted = union.New(accounts, authenticator.WrapAudienceAgnosticToken(p.audiences, union.New(joining, authn.ServerToken{Read: p.o.ServerToken})), identity)
	return authn.New(authn.Options{
		ClientCA:   p.o.PKI.CA.Pool(),
		FrontProxy: authn.FrontProxy{CA: p.o.PKI.FrontProxyCA.Pool(), Names: []string{pki.FrontProxyName}},
		Tokens:     p.accepted, Anonymous: identity.Anonymous,
	})
}

func (p *parts) authorizer(s apiserver.Parts) (authorizer.Authorizer, authorizer.RuleResolver, error) {
	a, err := authz.New(authz.Options{Informers: s.Informers, Defaults: policy.Defaults(), Clock: p.o.Clock})
	if err != nil {
		return nil, nil, err
	}
	p.authorizes = a
	p.roles, err = bootstrap.NewRoles(s.Client, s.Informers, a.RBAC, policy.Defaults())
	return a, a, err
}

func (p *parts) admission(s apiserver.Parts) (admission.Interface, error) {
	p.secretTokens(s)
	p.checkTypes(s)
	return berthadmission.New(berthadmission.Options{
		Client: s.Client, Informers: s.Informers, Authorizer: s.Authorizer, RBAC: p.authorizes.RBAC,
		TaintNewNodes: p.o.TaintNewNodes, Clock: p.o.Clock, BuiltIn: p.builtIn,
		Presence: s.Presence, Config: s.Config, Services: s.Services, Stopped: s.Stopped,
	})
}
