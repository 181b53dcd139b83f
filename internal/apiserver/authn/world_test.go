package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	testclock "k8s.io/utils/clock/testing"

	"berth.dev/berth/internal/apiserver/registry/serviceaccount"
)

func newTestKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// world is an issuer and a verifier over a few objects.
type world struct {
	clock    *testclock.FakePassiveClock
	key      *ecdsa.PrivateKey
	minter   *Minter
	verifier *Verifier
	live     *fake.Clientset
	account  *corev1.ServiceAccount
	bound    serviceaccount.Bound
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		clock:   testclock.NewFakePassiveClock(begin),
		key:     newTestKey(t),
		account: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "sa", UID: "sa-uid"}},
		bound: serviceaccount.Bound{
			Pod:    &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-0", UID: "pod-uid"}},
			Node:   &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-uid"}},
			Secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", UID: "secret-uid"}},
		},
	}
	w.live = fake.NewClientset(w.account, w.bound.Pod, w.bound.Node, w.bound.Secret)
	issuer, err := NewIssuer(issuerURL, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.minter = &Minter{Issuer: issuer, Audiences: []string{issuerURL}, Clock: w.clock}
	w.verifier, err = NewVerifier(VerifierOptions{
		Issuers: []string{issuerURL}, Keys: []*ecdsa.PublicKey{&w.key.PublicKey}, Audiences: []string{issuerURL},
		Live: Live(w.live), Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) mint(t testing.TB, bound serviceaccount.Bound, spec authenticationv1.TokenRequestSpec) *authenticationv1.TokenRequest {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: spec}
	if err := w.minter.Mint(t.Context(), w.account, bound, request); err != nil {
		t.Fatal(err)
	}
	return request
}

func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func seconds(n int64) authenticationv1.TokenRequestSpec {
	return authenticationv1.TokenRequestSpec{ExpirationSeconds: &n}
}

func remove(t *testing.T, w *world, resource, name string) {
	t.Helper()
	var err error
	ctx, options := t.Context(), metav1.DeleteOptions{}
	switch core := w.live.CoreV1(); resource {
	case "serviceaccounts":
		err = core.ServiceAccounts("ns").Delete(ctx, name, options)
	case "pods":
		err = core.Pods("ns").Delete(ctx, name, options)
	case "secrets":
		err = core.Secrets("ns").Delete(ctx, name, options)
	case "nodes":
		err = core.Nodes().Delete(ctx, name, options)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, w *world) {
	t.Helper()
	w.live = fake.NewClientset(w.account, w.bound.Pod, w.bound.Node, w.bound.Secret)
	w.verifier.o.Live = Live(w.live)
}

type staticObjects struct {
	account *corev1.ServiceAccount
	pod     *corev1.Pod
}

func (staticObjects) LabelSecret(context.Context, *corev1.Secret, string, string) error { return nil }

func (s staticObjects) ServiceAccount(context.Context, string, string) (*corev1.ServiceAccount, error) {
	return s.account, nil
}

func (s staticObjects) Pod(context.Context, string, string) (*corev1.Pod, error) { return s.pod, nil }

func (s staticObjects) Secret(context.Context, string, string) (*corev1.Secret, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("secrets"), "x")
}

func (s staticObjects) Node(context.Context, string) (*corev1.Node, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("nodes"), "x")
}
