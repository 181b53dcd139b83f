package authn

import (
	"crypto/x509"
	"errors"
	"net/http"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/utils/clock"
)

// Headers say whom a front proxy speaks for. They are upstream's usual ones.
var Headers = struct{ User, UID, Group, ExtraPrefix string }{"X-Remote-User", "X-Remote-Uid", "X-Remote-Group", "X-Remote-Extra-"}

// FrontProxy are the clients that may speak for others.
type FrontProxy struct {
	// CA verifies them; nil means there are none.
	CA *x509.CertPool
	// Names are the common names that are believed; empty means all.
	Names []string
}

// Options name the ways in.
type Options struct {
	// ClientCA verifies client certificates.
	ClientCA *x509.CertPool
	// FrontProxy is asked first: who may speak for others is not itself the user.
	FrontProxy FrontProxy
	// Tokens verifies bearer tokens; nil means none is accepted.
	Tokens authenticator.Token
	// Anonymous says who may come without credentials; nil means everybody.
	Anonymous func() (bool, []apiserver.AnonymousAuthCondition)
	Clock     clock.PassiveClock // nil: real time
}

// New returns the authenticator of the API server.
func New(o Options) (authenticator.Request, error) {
	if o.ClientCA == nil {
		return nil, errors.New("authn: no client authority given")
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	certificates := newRemember(x509request.NewDynamic(verify(o.ClientCA), x509request.CommonNameUserConversion), o.Clock)
	ways := []authenticator.Request{authenticator.RequestFunc(certificates.recall)}
	if o.FrontProxy.CA != nil {
		ways = append(ways, frontProxy(o.FrontProxy))
	}
	ways = append(ways, certificates)
	if o.Tokens != nil {
		ways = append(ways, bearertoken.New(o.Tokens), websocket.NewProtocolAuthenticator(o.Tokens))
	}
	known := group.NewAuthenticatedGroupAdder(union.New(ways...))
	// Wrong credentials are an error, not anonymous.
	return union.NewFailOnError(known, nameless(o)), nil
}

func verify(roots *x509.CertPool) x509request.VerifyOptionFunc {
	options := x509request.DefaultVerifyOptions()
	options.Roots = roots
	return func() (x509.VerifyOptions, bool) { return options, true }
}

func frontProxy(p FrontProxy) authenticator.Request {
	one := func(s string) headerrequest.StringSliceProvider { return headerrequest.StaticStringSlice{s} }
	return headerrequest.NewDynamicVerifyOptionsSecure(verify(p.CA), headerrequest.StaticStringSlice(p.Names),
		one(Headers.User), one(Headers.UID), one(Headers.Group), one(Headers.ExtraPrefix))
}

func nameless(o Options) authenticator.Request {
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		var where []apiserver.AnonymousAuthCondition
		if o.Anonymous != nil {
			let, conditions := o.Anonymous()
			if !let {
				return nil, false, nil
			}
			where = conditions
		}
		return anonymous.NewAuthenticator(where).AuthenticateRequest(req)
	})
}
