package authn

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/util/filesystem"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/klog/v2"
)

const (
	rereadAfter = time.Minute
	// closeAfter lets requests that began with an old configuration end with it.
	closeAfter = time.Minute
)

// Identity verifies tokens of other issuers. Without one it costs nothing.
type Identity struct {
	settings  Settings
	own       []string // issuers that nobody else may claim to be
	audiences authenticator.Audiences
	now       atomic.Pointer[configured]
}

type configured struct {
	tokens    authenticator.Token // nil: no issuer
	anonymous *apiserver.AnonymousAuthConfig
	close     context.CancelFunc
}

// NewIdentity reads the settings. A file is watched until ctx ends.
func NewIdentity(ctx context.Context, s Settings, own []string, audiences authenticator.Audiences) (*Identity, error) {
	i := &Identity{settings: s, own: own, audiences: audiences}
	first, err := i.read(ctx)
	if err != nil {
		return nil, err
	}
	i.now.Store(first)
	if s.ConfigFile != "" {
		go filesystem.WatchUntil(ctx, rereadAfter, s.ConfigFile, func() { i.reload(ctx) }, func(err error) {
			klog.ErrorS(err, "Watching the authentication configuration", "file", s.ConfigFile)
		})
	}
	return i, nil
}

func (i *Identity) reload(ctx context.Context) {
	next, err := i.read(ctx)
	if err != nil {
		klog.ErrorS(err, "The authentication configuration stays as it was")
		return
	}
	old := i.now.Swap(next)
	context.AfterFunc(ctx, old.close)
	time.AfterFunc(closeAfter, old.close)
}

func (i *Identity) read(ctx context.Context) (*configured, error) {
	c, err := i.settings.configuration()
	if err != nil {
		return nil, err
	}
	if len(c.JWT) > 0 || c.Anonymous != nil {
		compiler := authenticationcel.NewDefaultCompiler()
		if err := validation.ValidateAuthenticationConfiguration(compiler, c, i.own).ToAggregate(); err != nil {
			return nil, fmt.Errorf("authentication configuration: %w", err)
		}
	}
	inner, cancel := context.WithCancel(ctx)
	out := &configured{anonymous: c.Anonymous, close: cancel}
	var all []authenticator.Token
	for _, jwt := range c.JWT {
		one, err := i.issuer(inner, jwt)
		if err != nil {
			cancel()
			return nil, fmt.Errorf("issuer %s: %w", jwt.Issuer.URL, err)
		}
		all = append(all, authenticator.WrapAudienceAgnosticToken(i.audiences, one))
	}
	if len(all) > 0 {
		out.tokens = union.NewFailOnError(all...)
	}
	return out, nil
}

func (i *Identity) issuer(ctx context.Context, jwt apiserver.JWTAuthenticator) (authenticator.Token, error) {
	o := oidc.Options{JWTAuthenticator: jwt, DisallowedIssuers: i.own, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms()}
	if i.settings.ConfigFile == "" {
		o.SupportedSigningAlgs = i.settings.OIDC.SigningAlgorithms
	}
	if ca := jwt.Issuer.CertificateAuthority; ca != "" {
		content, err := dynamiccertificates.NewStaticCAContent("oidc-authenticator", []byte(ca))
		if err != nil {
			return nil, err
		}
		o.CAContentProvider = content
	}
	return oidc.New(ctx, o)
}

// AuthenticateToken implements authenticator.Token.
func (i *Identity) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if tokens := i.now.Load().tokens; tokens != nil {
		return tokens.AuthenticateToken(ctx, token)
	}
	return nil, false, nil
}

// Anonymous says who may come without credentials: everybody, nobody, or those
// who ask for the paths of the conditions.
func (i *Identity) Anonymous() (bool, []apiserver.AnonymousAuthCondition) {
	if c := i.now.Load().anonymous; c != nil {
		return c.Enabled, c.Conditions
	}
	return i.settings.Anonymous, nil
}
