package authn

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/utils/clock"
)

const (
	// verifiedFor is how long a certificate that was found good is taken as
	// good: a client that asks often is verified now and then, not each time.
	verifiedFor = 10 * time.Second
	// remembered is how many certificates are kept at most.
	remembered = 1000
)

// remember keeps who the verified client certificates belong to. One that is
// refused is not remembered.
type remember struct {
	verify authenticator.Request // by client certificate
	clock  clock.PassiveClock

	mu    sync.RWMutex
	known map[string]verified // by the certificate as it came
}

type verified struct {
	response authenticator.Response
	until    time.Time
}

func newRemember(verify authenticator.Request, c clock.PassiveClock) *remember {
	return &remember{verify: verify, clock: c, known: map[string]verified{}}
}

// recall answers for certificates that are known already. It comes before all
// other ways, but leaves requests that speak for somebody else to the front proxies'.
func (r *remember) recall(req *http.Request) (*authenticator.Response, bool, error) {
	if !alone(req) || req.Header.Get(Headers.User) != "" {
		return nil, false, nil
	}
	r.mu.RLock()
	v, ok := r.known[string(req.TLS.PeerCertificates[0].Raw)]
	r.mu.RUnlock()
	if !ok || !r.clock.Now().Before(v.until) {
		return nil, false, nil
	}
	return &v.response, true, nil
}

// AuthenticateRequest implements authenticator.Request.
func (r *remember) AuthenticateRequest(req *http.Request) (*authenticator.Response, bool, error) {
	response, ok, err := r.verify.AuthenticateRequest(req)
	if ok && err == nil && alone(req) {
		certificate := req.TLS.PeerCertificates[0]
		v := verified{response: *response, until: r.clock.Now().Add(verifiedFor)}
		if certificate.NotAfter.Before(v.until) {
			v.until = certificate.NotAfter
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.known) >= remembered {
			clear(r.known)
		}
		r.known[string(certificate.Raw)] = v
	}
	return response, ok, err
}

// alone says whether there is a certificate and no other that it might depend on.
func alone(req *http.Request) bool { return req.TLS != nil && len(req.TLS.PeerCertificates) == 1 }
