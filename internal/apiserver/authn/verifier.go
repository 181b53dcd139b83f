package authn

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/utils/clock"
)

// longestToken bounds the work that an unauthenticated client can cause.
const longestToken = 16 << 10

// VerifierOptions say which service account tokens are good.
type VerifierOptions struct {
	// Issuers whose tokens are ours; the first one signs new tokens.
	Issuers []string
	// Keys that verify signatures: the current one and, after a rotation, older ones.
	Keys []*ecdsa.PublicKey
	// Audiences of the API server.
	Audiences []string
	// Live and Cached (may be nil) find what a token is bound to; Live notes
	// on which day a token that lies in a Secret was last used.
	Live   LiveObjects
	Cached Objects
	Clock  clock.PassiveClock // nil: real time
}

// Verifier checks service account tokens: signature, issuer, time, audience,
// and that the account and what the token is bound to still exist.
type Verifier struct {
	o    VerifierOptions
	keys map[string]*ecdsa.PublicKey
}

// NewVerifier implements authenticator.Token.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Live == nil || len(o.Issuers) == 0 || len(o.Keys) == 0 {
		return nil, errors.New("authn: a token verifier needs issuers, keys and live objects")
	}
	v := &Verifier{o: o, keys: map[string]*ecdsa.PublicKey{}}
	for _, key := range o.Keys {
		id, err := keyID(key)
		if err != nil {
			return nil, err
		}
		v.keys[id] = key
	}
	return v, nil
}

// AuthenticateToken implements authenticator.Token.
func (v *Verifier) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if len(token) > longestToken || !v.ours(token) {
		return nil, false, nil
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{signature})
	if err != nil {
		return nil, false, nil
	}
	if v.claims(token) == SecretIssuer {
		return v.secretToken(ctx, token, parsed)
	}
	public, private, err := v.open(parsed)
	if err != nil {
		return nil, false, err
	}
	// The issuer was read before the signature was known to be good.
	if !slices.Contains(v.o.Issuers, public.Issuer) {
		return nil, false, fmt.Errorf("token issuer %q is invalid", public.Issuer)
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = v.o.Audiences
	}
	audiences := authenticator.Audiences(public.Audience).Intersect(wanted)
	if len(audiences) == 0 {
		return nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", []string(public.Audience), []string(wanted))
	}
	if err := v.inTime(public); err != nil {
		return nil, false, err
	}
	if err := v.stillBound(ctx, private.Kubernetes); err != nil {
		return nil, false, err
	}
	if after := private.Kubernetes.WarnAfter; after != nil {
		if late := v.o.Clock.Now().Unix() - int64(*after); late > 0 {
			audit.AddAuditAnnotation(ctx, "authentication.k8s.io/stale-token",
				fmt.Sprintf("subject: %s, seconds after warning threshold: %d", public.Subject, late))
		}
	}
	info := userOf(public.ID, private.Kubernetes)
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

func userOf(id string, k kubernetesClaims) *serviceaccount.ServiceAccountInfo {
	info := &serviceaccount.ServiceAccountInfo{Namespace: k.Namespace, Name: k.Account.Name, UID: string(k.Account.UID)}
	if id != "" {
		info.CredentialID = "JTI=" + id
	}
	if k.Pod != nil {
		info.PodName, info.PodUID = k.Pod.Name, string(k.Pod.UID)
	}
	if k.Node != nil {
		info.NodeName, info.NodeUID = k.Node.Name, string(k.Node.UID)
	}
	return info
}

// ours says whether an unverified token claims to be of one of our issuers, so
// that other tokens are left to other authenticators.
func (v *Verifier) ours(token string) bool {
	issuer := v.claims(token)
	return issuer == SecretIssuer || slices.Contains(v.o.Issuers, issuer)
}

// claims is the issuer that an unverified token claims to be of.
func (v *Verifier) claims(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// open reads a token that is not of a Secret.
func (v *Verifier) open(token *jwt.JSONWebToken) (*jwt.Claims, *privateClaims, error) {
	var public jwt.Claims
	var private privateClaims
	if err := v.openAs(token, &public, &private); err != nil {
		return nil, nil, err
	}
	return &public, &private, nil
}

// openAs verifies the signature with the key that the token names, or with any.
func (v *Verifier) openAs(token *jwt.JSONWebToken, public *jwt.Claims, private any) error {
	id := ""
	for _, header := range token.Headers {
		if header.KeyID != "" {
			id = header.KeyID
		}
	}
	err := errors.New("invalid signature, no keys found")
	for known, key := range v.keys {
		if id != "" && id != known {
			continue
		}
		if err = token.Claims(key, public, private); err == nil {
			return nil
		}
	}
	return err
}

func (v *Verifier) inTime(public *jwt.Claims) error {
	err := public.Validate(jwt.Expected{Time: v.o.Clock.Now()})
	switch {
	case err == nil && public.Expiry == nil:
		return errors.New("service account token could not be validated")
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrNotValidYet):
		return errors.New("service account token is not valid yet")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return errors.New("service account token is issued in the future")
	default:
		return errors.New("service account token could not be validated")
	}
}
