package authn

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// signature is the only algorithm that tokens are signed with and accepted in.
const signature = jose.ES256

// Issuer signs service account tokens.
type Issuer struct {
	url    string
	signer jose.Signer
}

// NewIssuer signs as the issuer with that URL, which is also the first audience
// of the API server: https://kubernetes.default.svc.cluster.local.
func NewIssuer(url string, key *ecdsa.PrivateKey) (*Issuer, error) {
	id, err := keyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: signature,
		Key:       jose.JSONWebKey{Algorithm: string(signature), Key: key, KeyID: id, Use: "sig"},
	}, nil)
	if err != nil {
		return nil, err
	}
	return &Issuer{url: url, signer: signer}, nil
}

// keyID names a public key without giving it away.
func keyID(key *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// publicClaims are the registered ones. The library would write a single
// audience as a string; upstream writes a list, and some readers insist on it.
type publicClaims struct {
	jwt.Claims
	Audience []string `json:"aud,omitempty"`
}

// privateClaims is what a token says beyond the registered claims.
type privateClaims struct {
	Kubernetes kubernetesClaims `json:"kubernetes.io"`
}

type kubernetesClaims struct {
	Namespace string           `json:"namespace,omitempty"`
	Node      *reference       `json:"node,omitempty"`
	Pod       *reference       `json:"pod,omitempty"`
	Secret    *reference       `json:"secret,omitempty"`
	Account   reference        `json:"serviceaccount"`
	WarnAfter *jwt.NumericDate `json:"warnafter,omitempty"`
}

type reference struct {
	Name string    `json:"name,omitempty"`
	UID  types.UID `json:"uid,omitempty"`
}

// grant is a token to be issued.
type grant struct {
	account   *corev1.ServiceAccount
	pod       *corev1.Pod
	secret    *corev1.Secret
	node      *corev1.Node
	audiences []string
	now       time.Time
	life      time.Duration
	warnAfter time.Duration // 0: no warning
}

// issue signs the token and returns it with its identifier (jti).
func (i *Issuer) issue(g grant) (token, id string, err error) {
	public := publicClaims{
		Claims: jwt.Claims{
			Issuer:    i.url,
			Subject:   serviceaccount.MakeUsername(g.account.Namespace, g.account.Name),
			Expiry:    jwt.NewNumericDate(g.now.Add(g.life)),
			NotBefore: jwt.NewNumericDate(g.now),
			IssuedAt:  jwt.NewNumericDate(g.now),
			ID:        uuid.NewString(),
		},
		Audience: g.audiences,
	}
	private := privateClaims{Kubernetes: kubernetesClaims{
		Namespace: g.account.Namespace,
		Account:   reference{g.account.Name, g.account.UID},
	}}
	if g.pod != nil {
		private.Kubernetes.Pod = &reference{g.pod.Name, g.pod.UID}
	}
	if g.secret != nil {
		private.Kubernetes.Secret = &reference{g.secret.Name, g.secret.UID}
	}
	if g.node != nil {
		private.Kubernetes.Node = &reference{g.node.Name, g.node.UID}
	}
	if g.warnAfter > 0 {
		private.Kubernetes.WarnAfter = jwt.NewNumericDate(g.now.Add(g.warnAfter))
	}
	token, err = jwt.Signed(i.signer).Claims(private).Claims(public).Serialize()
	return token, public.ID, err
}
