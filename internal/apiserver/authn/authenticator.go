package authn

import (
	"crypto/x509"
	"errors"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
)

// Options name the ways in.
type Options struct {
	// ClientCA verifies client certificates.
	ClientCA *x509.CertPool
	// Tokens verifies bearer tokens; nil means none is accepted.
	Tokens authenticator.Token
	// DisableAnonymous refuses requests without credentials.
	DisableAnonymous bool
}

// New returns the authenticator of the API server.
func New(o Options) (authenticator.Request, error) {
	if o.ClientCA == nil {
		return nil, errors.New("authn: no client authority given")
	}
	verify := x509request.DefaultVerifyOptions()
	verify.Roots = o.ClientCA
	ways := []authenticator.Request{x509request.New(verify, x509request.CommonNameUserConversion)}
	if o.Tokens != nil {
		ways = append(ways, bearertoken.New(o.Tokens), websocket.NewProtocolAuthenticator(o.Tokens))
	}
	known := group.NewAuthenticatedGroupAdder(union.New(ways...))
	if o.DisableAnonymous {
		return known, nil
	}
	// Wrong credentials are an error, not anonymous.
	return union.NewFailOnError(known, anonymous.NewAuthenticator(nil)), nil
}
