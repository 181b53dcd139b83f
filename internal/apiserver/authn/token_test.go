package authn

import (
	"context"
	"crypto/ecdsa"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/registry/serviceaccount"
)

const issuerURL = "https://kubernetes.default.svc.cluster.local"

var begin = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func TestClaims(t *testing.T) {
	w := newWorld(t)
	podBound := serviceaccount.Bound{Pod: w.bound.Pod, Node: w.bound.Node}
	request := w.mint(t, podBound, authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](600)})
	claims := claimsOf(t, request.Status.Token)
	id, _ := claims["jti"].(string)
	if len(id) != 36 {
		t.Errorf("jti is %q", id)
	}
	delete(claims, "jti")
	at := float64(begin.Unix())
	want := map[string]any{
		"aud": []any{issuerURL}, "iss": issuerURL, "sub": "system:serviceaccount:ns:sa",
		"iat": at, "nbf": at, "exp": at + 600,
		"kubernetes.io": map[string]any{
			"namespace":      "ns",
			"serviceaccount": map[string]any{"name": "sa", "uid": "sa-uid"},
			"pod":            map[string]any{"name": "web-0", "uid": "pod-uid"},
			"node":           map[string]any{"name": "n1", "uid": "node-uid"},
		},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
	if got := request.Status.ExpirationTimestamp.Time; !got.Equal(begin.Add(600 * time.Second)) {
		t.Errorf("ends at %s", got)
	}
	if diff := cmp.Diff([]string{issuerURL}, request.Spec.Audiences); diff != "" {
		t.Error(diff)
	}
	response, ok, err := w.verifier.AuthenticateToken(t.Context(), request.Status.Token)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if diff := cmp.Diff(map[string][]string{
		"authentication.kubernetes.io/credential-id": {"JTI=" + id},
		"authentication.kubernetes.io/pod-name":      {"web-0"}, "authentication.kubernetes.io/pod-uid": {"pod-uid"},
		"authentication.kubernetes.io/node-name": {"n1"}, "authentication.kubernetes.io/node-uid": {"node-uid"},
	}, response.User.GetExtra()); diff != "" {
		t.Error(diff)
	}
	if got := response.User; got.GetName() != "system:serviceaccount:ns:sa" || got.GetUID() != "sa-uid" ||
		strings.Join(got.GetGroups(), ",") != "system:serviceaccounts,system:serviceaccounts:ns" {
		t.Errorf("got %v", got)
	}
}

func TestLife(t *testing.T) {
	w := newWorld(t)
	podBound := serviceaccount.Bound{Pod: w.bound.Pod}
	for name, c := range map[string]struct {
		bound   serviceaccount.Bound
		spec    authenticationv1.TokenRequestSpec
		tune    func(*Minter)
		says    time.Duration // what the client is told
		lives   time.Duration
		warns   bool
		refusal string
	}{
		"default":           {says: time.Hour, lives: time.Hour},
		"asked":             {spec: seconds(7200), says: 2 * time.Hour, lives: 2 * time.Hour},
		"pod's own volume":  {bound: podBound, spec: seconds(3607), says: 3607 * time.Second, lives: 365 * 24 * time.Hour, warns: true},
		"not a pod":         {spec: seconds(3607), says: 3607 * time.Second, lives: 3607 * time.Second},
		"another life":      {bound: podBound, spec: seconds(3600), says: time.Hour, lives: time.Hour},
		"stretching off":    {bound: podBound, spec: seconds(3607), tune: func(m *Minter) { m.NoStretch = true }, says: 3607 * time.Second, lives: 3607 * time.Second},
		"for somebody else": {bound: podBound, spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3607), Audiences: []string{"vault"}}, says: 3607 * time.Second, lives: 3607 * time.Second},
		"shortened":         {spec: seconds(90000), tune: func(m *Minter) { m.MaxSeconds = 86400 }, says: 24 * time.Hour, lives: 24 * time.Hour},
		"too short":         {spec: seconds(599), refusal: `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		"too long":          {spec: seconds(1<<32 + 1), refusal: `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`},
	} {
		t.Run(name, func(t *testing.T) {
			minter := *w.minter
			if c.tune != nil {
				c.tune(&minter)
			}
			request := &authenticationv1.TokenRequest{Spec: c.spec}
			err := minter.Mint(t.Context(), w.account, c.bound, request)
			if c.refusal != "" {
				if err == nil || err.Error() != c.refusal || !apierrors.IsInvalid(err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			claims := claimsOf(t, request.Status.Token)
			if got := request.Status.ExpirationTimestamp.Sub(begin); got != c.says {
				t.Errorf("says %s", got)
			}
			if got := claims["exp"].(float64) - float64(begin.Unix()); got != c.lives.Seconds() {
				t.Errorf("lives %v seconds", got)
			}
			_, warns := claims["kubernetes.io"].(map[string]any)["warnafter"]
			if warns != c.warns {
				t.Errorf("warnafter: %v", warns)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	podBound := func(w *world) serviceaccount.Bound { return serviceaccount.Bound{Pod: w.bound.Pod} }
	secretBound := func(w *world) serviceaccount.Bound { return serviceaccount.Bound{Secret: w.bound.Secret} }
	nodeBound := func(w *world) serviceaccount.Bound { return serviceaccount.Bound{Node: w.bound.Node} }
	for name, c := range map[string]struct {
		bound     func(*world) serviceaccount.Bound
		audiences []string
		later     func(*testing.T, *world)
		asked     authenticator.Audiences
		refusal   string
	}{
		"unbound":         {},
		"pod":             {bound: podBound},
		"secret":          {bound: secretBound},
		"node":            {bound: nodeBound},
		"other audience":  {audiences: []string{"vault"}, refusal: `token audiences ["vault"] is invalid for the target audiences ["` + issuerURL + `"]`},
		"asked audience":  {audiences: []string{"vault", "x"}, asked: authenticator.Audiences{"vault"}},
		"expired":         {later: func(_ *testing.T, w *world) { w.clock.SetTime(begin.Add(time.Hour + 61*time.Second)) }, refusal: "service account token has expired"},
		"just in time":    {later: func(_ *testing.T, w *world) { w.clock.SetTime(begin.Add(time.Hour + 59*time.Second)) }},
		"from the future": {later: func(_ *testing.T, w *world) { w.clock.SetTime(begin.Add(-2 * time.Minute)) }, refusal: "service account token is not valid yet"},
		"account deleted": {later: func(t *testing.T, w *world) { remove(t, w, "serviceaccounts", "sa") }, refusal: `serviceaccounts "sa" not found`},
		"account made again": {later: func(t *testing.T, w *world) {
			w.account.UID = "new"
			replace(t, w)
		}, refusal: "service account UID (new) does not match claim (sa-uid)"},
		"account going": {later: func(t *testing.T, w *world) {
			w.account.DeletionTimestamp = &metav1.Time{Time: begin.Add(-2 * time.Minute)}
			replace(t, w)
		}, refusal: "service account ns/sa has been deleted"},
		"pod deleted": {bound: podBound, later: func(t *testing.T, w *world) { remove(t, w, "pods", "web-0") }, refusal: "service account token has been invalidated"},
		"pod made again": {bound: podBound, later: func(t *testing.T, w *world) {
			w.bound.Pod.UID = "new"
			replace(t, w)
		}, refusal: "pod UID (new) does not match service account pod ref claim (pod-uid)"},
		"pod in its grace period": {bound: podBound, later: func(t *testing.T, w *world) {
			w.bound.Pod.DeletionTimestamp = &metav1.Time{Time: begin.Add(30 * time.Second)}
			replace(t, w)
		}},
		"pod past its grace period": {bound: podBound, later: func(t *testing.T, w *world) {
			w.bound.Pod.DeletionTimestamp = &metav1.Time{Time: begin.Add(-61 * time.Second)}
			replace(t, w)
		}, refusal: "service account token has been invalidated"},
		"secret deleted": {bound: secretBound, later: func(t *testing.T, w *world) { remove(t, w, "secrets", "s") }, refusal: "service account token has been invalidated"},
		"secret made again": {bound: secretBound, later: func(t *testing.T, w *world) {
			w.bound.Secret.UID = "new"
			replace(t, w)
		}, refusal: "secret UID (new) does not match service account secret ref claim (secret-uid)"},
		"node deleted": {bound: nodeBound, later: func(t *testing.T, w *world) { remove(t, w, "nodes", "n1") }, refusal: "service account token has been invalidated"},
		"pod's node deleted": {bound: func(w *world) serviceaccount.Bound {
			return serviceaccount.Bound{Pod: w.bound.Pod, Node: w.bound.Node}
		}, later: func(t *testing.T, w *world) { remove(t, w, "nodes", "n1") }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var bound serviceaccount.Bound
			if c.bound != nil {
				bound = c.bound(w)
			}
			token := w.mint(t, bound, authenticationv1.TokenRequestSpec{Audiences: c.audiences}).Status.Token
			if c.later != nil {
				c.later(t, w)
			}
			ctx := t.Context()
			if c.asked != nil {
				ctx = authenticator.WithAudiences(ctx, c.asked)
			}
			response, ok, err := w.verifier.AuthenticateToken(ctx, token)
			switch {
			case c.refusal == "" && (err != nil || !ok || response == nil):
				t.Errorf("refused: %v", err)
			case c.refusal != "" && (ok || err == nil || err.Error() != c.refusal):
				t.Errorf("got %v %v, want %q", ok, err, c.refusal)
			case c.asked != nil && cmp.Diff(response.Audiences, c.asked) != "":
				t.Errorf("audiences %v", response.Audiences)
			}
		})
	}
}

// staleObjects is a cache that is behind.
type staleObjects struct {
	Objects
	pod *corev1.Pod
}

func (s staleObjects) Pod(context.Context, string, string) (*corev1.Pod, error) { return s.pod, nil }

func TestStaleCache(t *testing.T) {
	w := newWorld(t)
	old := w.bound.Pod.DeepCopy()
	old.UID = "older"
	w.verifier.o.Cached = staleObjects{Live(w.live), old}
	token := w.mint(t, serviceaccount.Bound{Pod: w.bound.Pod}, authenticationv1.TokenRequestSpec{}).Status.Token
	if _, ok, err := w.verifier.AuthenticateToken(t.Context(), token); !ok || err != nil {
		t.Errorf("a pod made again under the same name is refused: %v", err)
	}
}

func TestKeyRotation(t *testing.T) {
	w := newWorld(t)
	next := newTestKey(t)
	old := w.mint(t, serviceaccount.Bound{}, authenticationv1.TokenRequestSpec{}).Status.Token
	verify := func(keys ...*ecdsa.PublicKey) bool {
		v, err := NewVerifier(VerifierOptions{Issuers: []string{issuerURL}, Keys: keys, Audiences: []string{issuerURL}, Live: Live(w.live), Clock: w.clock})
		if err != nil {
			t.Fatal(err)
		}
		_, ok, _ := v.AuthenticateToken(t.Context(), old)
		return ok
	}
	if !verify(&next.PublicKey, &w.key.PublicKey) || verify(&next.PublicKey) {
		t.Error("an old key counts as long as it is listed")
	}
	if _, err := NewVerifier(VerifierOptions{}); err == nil {
		t.Error("a verifier of nothing")
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	w.verifier.o.Live = staticObjects{w.account, w.bound.Pod}
	token := w.mint(b, serviceaccount.Bound{Pod: w.bound.Pod}, authenticationv1.TokenRequestSpec{}).Status.Token
	for b.Loop() {
		if _, ok, err := w.verifier.AuthenticateToken(b.Context(), token); !ok {
			b.Fatal(err)
		}
	}
}
