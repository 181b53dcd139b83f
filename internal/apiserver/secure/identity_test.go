package secure_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/apiserver/authn"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/pki"
)

// whoami is the server's word for who the client is.
func whoami(t *testing.T, client kubernetes.Interface) (authenticationv1.UserInfo, error) {
	t.Helper()
	r, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return r.Status.UserInfo, nil
}

func expect(t *testing.T, client kubernetes.Interface, name string, groups ...string) authenticationv1.UserInfo {
	t.Helper()
	got, err := whoami(t, client)
	if err != nil || got.Username != name || !slices.Equal(got.Groups, groups) {
		t.Errorf("got %q %q, %v; want %q %q", got.Username, got.Groups, err, name, groups)
	}
	return got
}

func TestBootstrapTokens(t *testing.T) {
	c := start(t)
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	const token = "abcdef.0123456789abcdef"
	if _, err := whoami(t, c.withToken(token)); !apierrors.IsUnauthorized(err) {
		t.Errorf("before its secret is there: %v", err)
	}
	secrets := c.Client.CoreV1().Secrets("kube-system")
	good := map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}
	for name, x := range map[string]struct {
		change map[string]string
		kind   corev1.SecretType
		groups []string // nil: refused
	}{
		"plain":            {groups: []string{"system:bootstrappers", "system:authenticated"}},
		"with a time":      {change: map[string]string{"expiration": in(time.Hour)}, groups: []string{"system:bootstrappers", "system:authenticated"}},
		"with groups":      {change: map[string]string{"auth-extra-groups": "system:bootstrappers:a,system:bootstrappers:b:c"}, groups: []string{"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b:c", "system:authenticated"}},
		"too late":         {change: map[string]string{"expiration": in(-time.Second)}},
		"no time":          {change: map[string]string{"expiration": "tomorrow"}},
		"not for this":     {change: map[string]string{"usage-bootstrap-authentication": "false"}},
		"for signing only": {change: map[string]string{"usage-bootstrap-authentication": "", "usage-bootstrap-signing": "true"}},
		"another secret":   {change: map[string]string{"token-secret": "fedcba9876543210"}},
		"another id":       {change: map[string]string{"token-id": "fedcba"}},
		"a powerful group": {change: map[string]string{"auth-extra-groups": "system:masters"}},
		"of another kind":  {kind: corev1.SecretTypeOpaque},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token", StringData: map[string]string{}}
			for _, m := range []map[string]string{good, x.change} {
				for k, v := range m {
					secret.StringData[k] = v
				}
			}
			if x.kind != "" {
				secret.Type = x.kind
			}
			if _, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			client := c.withToken(token)
			if x.groups != nil {
				expect(t, client, "system:bootstrap:abcdef", x.groups...)
			} else if _, err := whoami(t, client); !apierrors.IsUnauthorized(err) {
				t.Errorf("got %v", err)
			}
			if err := secrets.Delete(t.Context(), secret.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := whoami(t, client); !apierrors.IsUnauthorized(err) {
				t.Errorf("after its secret is gone: %v", err)
			}
		})
	}
	// What the server itself hands out.
	id, _, _ := strings.Cut(c.set.JoinToken, ".")
	expect(t, c.withToken(c.set.JoinToken), "system:bootstrap:"+id, "system:bootstrappers", "system:bootstrappers:berth:join", "system:authenticated")
	if _, err := whoami(t, c.withToken(id+".0123456789abcdef")); !apierrors.IsUnauthorized(err) {
		t.Errorf("the join token's id with another secret: %v", err)
	}
	_, err := c.withToken(c.set.JoinToken).CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{})
	forbidden(t, err, "cannot list resource \"secrets\"")
	review, err := c.Client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: c.set.JoinToken}}, metav1.CreateOptions{})
	if err != nil || !review.Status.Authenticated || len(review.Status.Audiences) != 1 {
		t.Errorf("a review knows it: %+v, %v", review, err)
	}
}

func TestFrontProxy(t *testing.T) {
	c := start(t)
	speaking := func(p pki.Pair, headers map[string]string) kubernetes.Interface {
		return c.tls(func(r *rest.Config) {
			r.CertData, r.KeyData = p.CertPEM, p.KeyPEM
			r.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return roundTripper(func(req *http.Request) (*http.Response, error) {
					req = req.Clone(req.Context())
					for k, v := range headers {
						for _, one := range strings.Split(v, ",") {
							req.Header.Add(k, one)
						}
					}
					return next.RoundTrip(req)
				})
			})
		})
	}
	jane := map[string]string{"X-Remote-User": "jane", "X-Remote-Group": "devs,ops", "X-Remote-Uid": "42", "X-Remote-Extra-Scope%2Fx": "a"}
	got := expect(t, speaking(c.set.FrontProxy, jane), "jane", "devs", "ops", "system:authenticated")
	if got.UID != "42" || len(got.Extra["scope/x"]) != 1 || got.Extra["scope/x"][0] != "a" {
		t.Errorf("got %+v", got)
	}
	// For itself it is nobody, and nobody else may speak.
	if who, err := whoami(t, speaking(c.set.FrontProxy, nil)); err == nil && who.Username != "system:anonymous" {
		t.Errorf("the front proxy itself is %+v", who)
	}
	expect(t, speaking(c.set.Admin, jane), "kubernetes-admin", "system:masters", "system:authenticated")
	other, err := c.set.FrontProxyCA.Issue(pki.Subject{CommonName: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := whoami(t, speaking(other, jane)); err == nil {
		t.Errorf("another name of that authority is %+v", who)
	}
	forged, err := c.set.CA.Issue(pki.Subject{CommonName: pki.FrontProxyName})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, speaking(forged, jane), pki.FrontProxyName, "system:authenticated")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestImpersonation(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	as := func(user string, i rest.ImpersonationConfig) kubernetes.Interface {
		config := c.As(user, "devs")
		config.Impersonate = i
		return c.client(config)
	}
	admin := c.As("root", "system:masters")
	admin.Impersonate = rest.ImpersonationConfig{UserName: "jane", UID: "7", Groups: []string{"devs"}, Extra: map[string][]string{"scopes": {"view"}}}
	got := expect(t, c.client(admin), "jane", "devs", "system:authenticated")
	if got.UID != "7" || got.Extra["scopes"][0] != "view" {
		t.Errorf("got %+v", got)
	}
	_, err := whoami(t, as("joe", rest.ImpersonationConfig{UserName: "jane"}))
	forbidden(t, err, `User "joe" cannot impersonate`)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "as-jane"}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{"jane"}},
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts"}},
		{Verbs: []string{"impersonate"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"userextras/scopes"}, ResourceNames: []string{"view"}},
	}}
	if _, err := c.Client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "as-jane"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "as-jane"},
		Subjects: []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "joe"}},
	}
	if _, err := c.Client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "joe may be jane", func() bool {
		_, err := whoami(t, as("joe", rest.ImpersonationConfig{UserName: "jane"}))
		return err == nil
	})
	expect(t, as("joe", rest.ImpersonationConfig{UserName: "jane"}), "jane", "system:authenticated")
	expect(t, as("joe", rest.ImpersonationConfig{UserName: "system:serviceaccount:a:b"}), "system:serviceaccount:a:b", "system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated")
	if got := expect(t, as("joe", rest.ImpersonationConfig{UserName: "jane", Extra: map[string][]string{"scopes": {"view"}}}), "jane", "system:authenticated"); len(got.Extra["scopes"]) != 1 {
		t.Errorf("got %+v", got)
	}
	for text, i := range map[string]rest.ImpersonationConfig{
		`users "root" is forbidden: User "joe" cannot impersonate resource "users" in API group "" at the cluster scope`:                                        {UserName: "root"},
		`groups "ops" is forbidden: User "joe" cannot impersonate resource "groups" in API group "" at the cluster scope`:                                       {UserName: "jane", Groups: []string{"ops"}},
		`uids.authentication.k8s.io "7" is forbidden: User "joe" cannot impersonate resource "uids" in API group "authentication.k8s.io"`:                       {UserName: "jane", UID: "7"},
		`userextras.authentication.k8s.io "edit" is forbidden: User "joe" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io"`: {UserName: "jane", Extra: map[string][]string{"scopes": {"edit"}}},
	} {
		_, err := whoami(t, as("joe", i))
		forbidden(t, err, text)
	}
	if _, err := whoami(t, as("joe", rest.ImpersonationConfig{Groups: []string{"ops"}})); err == nil {
		t.Error("a group without a user")
	}
}

// provider is an issuer of identity tokens.
type provider struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	mux := http.NewServeMux()
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v)
		}
	}
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	mux.Handle("/.well-known/openid-configuration", answer(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}}))
	mux.Handle("/keys", answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}}))
	return p
}

func (p *provider) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

func (p *provider) token(t *testing.T, more map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": p.URL, "aud": "berth", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	for k, v := range more {
		claims[k] = v
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestOIDCByFlags(t *testing.T) {
	p := newProvider(t)
	ca := filepath.Join(t.TempDir(), "oidc-ca.crt")
	if err := os.WriteFile(ca, []byte(p.ca()), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := authn.DefaultSettings()
	settings.OIDC = authn.OIDC{
		IssuerURL: p.URL, ClientID: "berth", CAFile: ca, UsernameClaim: "sub", GroupsClaim: "groups", GroupsPrefix: "oidc:",
		SigningAlgorithms: []string{"ES256"}, RequiredClaims: map[string]string{"team": "db"},
	}
	c := startWith(t, secure.Options{Authentication: &settings})
	good := p.token(t, map[string]any{"groups": []string{"ops"}, "team": "db"})
	eventually(t, "the provider is known", func() bool {
		_, err := whoami(t, c.withToken(good))
		return err == nil
	})
	expect(t, c.withToken(good), p.URL+"#jane", "oidc:ops", "system:authenticated")
	for name, claims := range map[string]map[string]any{
		"no required claim": {},
		"another audience":  {"team": "db", "aud": "other"},
		"too late":          {"team": "db", "exp": time.Now().Add(-time.Hour).Unix()},
		"another issuer":    {"team": "db", "iss": "https://other.example.com"},
	} {
		if who, err := whoami(t, c.withToken(p.token(t, claims))); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

func TestAuthenticationConfiguration(t *testing.T) {
	p := newProvider(t)
	file := filepath.Join(t.TempDir(), "authentication.yaml")
	write := func(user, anonymous string) {
		t.Helper()
		text := fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: %s
jwt:
- issuer:
    url: %s
    audiences: [berth]
    certificateAuthority: %q
  claimValidationRules:
  - expression: claims.team == "db"
    message: only the database team
  claimMappings:
    username: {expression: %s}
    groups: {expression: claims.groups}
    extra: [{key: example.com/team, valueExpression: claims.team}]
  userValidationRules:
  - expression: "!user.username.startsWith('system:')"
    message: reserved
`, anonymous, p.URL, p.ca(), user)
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(`"'sso:' + claims.sub"`, "{enabled: true, conditions: [{path: /version}]}")
	settings := authn.DefaultSettings()
	settings.ConfigFile = file
	c := startWith(t, secure.Options{Authentication: &settings})
	good := p.token(t, map[string]any{"groups": []string{"ops"}, "team": "db"})
	eventually(t, "the provider is known", func() bool {
		_, err := whoami(t, c.withToken(good))
		return err == nil
	})
	if got := expect(t, c.withToken(good), "sso:jane", "ops", "system:authenticated"); got.Extra["example.com/team"][0] != "db" {
		t.Errorf("got %+v", got)
	}
	if _, err := whoami(t, c.withToken(p.token(t, map[string]any{"groups": []string{}, "team": "web"}))); !apierrors.IsUnauthorized(err) {
		t.Errorf("another team: %v", err)
	}
	anonymous := c.tls(func(*rest.Config) {})
	if _, err := anonymous.Discovery().ServerVersion(); err != nil {
		t.Errorf("/version without credentials: %v", err)
	}
	if err := anonymous.Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error(); !apierrors.IsUnauthorized(err) {
		t.Errorf("/readyz without credentials: %v", err)
	}
	write(`"'new:' + claims.sub"`, "{enabled: false}")
	eventually(t, "the new configuration counts", func() bool {
		who, err := whoami(t, c.withToken(good))
		return err == nil && who.Username == "new:jane"
	})
	if _, err := anonymous.Discovery().ServerVersion(); !apierrors.IsUnauthorized(err) {
		t.Errorf("/version without credentials: %v", err)
	}
	// A configuration with a mistake changes nothing.
	write(`"nonsense("`, "{enabled: true}")
	time.Sleep(200 * time.Millisecond)
	expect(t, c.withToken(good), "new:jane", "ops", "system:authenticated")
}

func TestTokenSettings(t *testing.T) {
	settings := authn.DefaultSettings()
	settings.Issuers, settings.Audiences = []string{"https://issuer.example.com", "https://kubernetes.default.svc.cluster.local"}, []string{"api", "more"}
	settings.MaxTokenLife, settings.ExtendTokens = time.Hour, false
	c := startWith(t, secure.Options{Authentication: &settings})
	c.account("default", "default")
	week := int64(7 * 24 * 3600)
	made, err := c.Client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &week}}, metav1.CreateOptions{})
	if err != nil || *made.Spec.ExpirationSeconds != 3600 || !slices.Equal(made.Spec.Audiences, []string{"api", "more"}) {
		t.Fatalf("%+v, %v", made, err)
	}
	expect(t, c.withToken(made.Status.Token), "system:serviceaccount:default:default", "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
	raw, err := c.Client.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(raw), `"issuer":"https://issuer.example.com"`) || !strings.Contains(string(raw), `"jwks_uri":"https://issuer.example.com/openid/v1/jwks"`) {
		t.Errorf("%s, %v", raw, err)
	}
}
