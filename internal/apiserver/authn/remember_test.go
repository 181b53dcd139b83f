package authn

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	clocktesting "k8s.io/utils/clock/testing"

	"berth.dev/berth/internal/pki"
)

// counted counts how often the one that it stands for is asked.
type counted struct {
	authenticator.Request
	asked int
}

func (c *counted) AuthenticateRequest(req *http.Request) (*authenticator.Response, bool, error) {
	c.asked++
	return c.Request.AuthenticateRequest(req)
}

func TestRemember(t *testing.T) {
	keys, err := pki.Ensure(t.TempDir(), pki.Options{NodeName: "n", NodeIPs: []net.IP{net.ParseIP("192.0.2.1")}})
	if err != nil {
		t.Fatal(err)
	}
	now := clocktesting.NewFakePassiveClock(time.Now())
	all, err := New(Options{ClientCA: keys.CA.Pool(), FrontProxy: FrontProxy{CA: keys.FrontProxyCA.Pool()}, Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	request := func(p pki.Pair, user string) *http.Request {
		pair, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
		if user != "" {
			req.Header.Set(Headers.User, user)
		}
		return req
	}
	who := func(p pki.Pair, user string) string {
		t.Helper()
		response, ok, err := all.AuthenticateRequest(request(p, user))
		if err != nil || !ok {
			t.Fatalf("not let in: %v", err)
		}
		return response.User.GetName()
	}
	admin := who(keys.Admin, "")
	for range 3 {
		if again := who(keys.Admin, ""); again != admin {
			t.Errorf("%s has become %s", admin, again)
		}
		if node := who(keys.NodeClient, ""); node != "system:node:n" {
			t.Errorf("the node is %s", node)
		}
		if spoken := who(keys.FrontProxy, "jane"); spoken != "jane" {
			t.Errorf("the front proxy speaks for jane, not for %s", spoken)
		}
		// Nobody but a front proxy speaks for others.
		if spoken := who(keys.Admin, "jane"); spoken != admin {
			t.Errorf("%s speaks for %s", admin, spoken)
		}
	}

	verifier := &counted{Request: x509request.NewDynamic(verify(keys.CA.Pool()), x509request.CommonNameUserConversion)}
	r := newRemember(verifier, now)
	ask := func(p pki.Pair) bool {
		t.Helper()
		if _, ok, _ := r.recall(request(p, "")); ok {
			return true
		}
		_, ok, _ := r.AuthenticateRequest(request(p, ""))
		return ok
	}
	steps := []struct {
		name  string
		pair  pki.Pair
		after time.Duration
		want  bool
		asked int
	}{
		{"the first time", keys.Admin, 0, true, 1},
		{"again", keys.Admin, verifiedFor - 1, true, 1},
		{"another", keys.NodeClient, 0, true, 2},
		{"after a while", keys.Admin, 1, true, 3},
		{"of another authority", keys.FrontProxy, 0, false, 4},
		{"of another authority, again", keys.FrontProxy, 0, false, 5},
		{"run out", keys.Admin, 24 * 365 * 50 * time.Hour, true, 6}, // the library's clock is the real one
		{"run out, again", keys.Admin, 0, true, 7},
	}
	for _, s := range steps {
		now.SetTime(now.Now().Add(s.after))
		if got := ask(s.pair); got != s.want || verifier.asked != s.asked {
			t.Errorf("%s: %v after %d verifications, want %v after %d", s.name, got, verifier.asked, s.want, s.asked)
		}
	}
}
