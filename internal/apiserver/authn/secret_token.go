package authn

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// SecretIssuer is the issuer of the tokens that lie in Secrets and live as long
// as these do.
const SecretIssuer = "kubernetes/serviceaccount"

// invalidSince is the label of Secrets whose tokens are no longer accepted.
const invalidSince = "kubernetes.io/legacy-token-invalid-since"

// secretClaims are what such a token says beyond the registered claims.
type secretClaims struct {
	Namespace  string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
	SecretName string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
	Account    string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	AccountUID string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
}

// ForSecret signs the token of account that secret is to hold.
func (i *Issuer) ForSecret(account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	return jwt.Signed(i.signer).Claims(jwt.Claims{
		Issuer:  SecretIssuer,
		Subject: serviceaccount.MakeUsername(account.Namespace, account.Name),
	}).Claims(secretClaims{account.Namespace, secret.Name, account.Name, string(account.UID)}).Serialize()
}

// secretToken checks a token that lies in a Secret.
func (v *Verifier) secretToken(ctx context.Context, text string, token *jwt.JSONWebToken) (*authenticator.Response, bool, error) {
	var public jwt.Claims
	var private secretClaims
	if err := v.openAs(token, &public, &private); err != nil {
		return nil, false, err
	}
	// The issuer was read before the signature was known to be good.
	if public.Issuer != SecretIssuer {
		return nil, false, fmt.Errorf("token issuer %q is invalid", public.Issuer)
	}
	audiences := authenticator.Audiences(v.o.Audiences)
	if wanted, ok := authenticator.AudiencesFrom(ctx); ok {
		if audiences = audiences.Intersect(wanted); len(audiences) == 0 {
			return nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", v.o.Audiences, []string(wanted))
		}
	}
	if err := v.stillInSecret(ctx, text, public.Subject, private); err != nil {
		return nil, false, err
	}
	info := serviceaccount.ServiceAccountInfo{Namespace: private.Namespace, Name: private.Account, UID: private.AccountUID}
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

func (v *Verifier) stillInSecret(ctx context.Context, text, subject string, c secretClaims) error {
	for _, claim := range []struct{ name, value string }{
		{"namespace", c.Namespace}, {"secretName", c.SecretName}, {"serviceAccountName", c.Account}, {"serviceAccountUID", c.AccountUID},
	} {
		if claim.value == "" {
			return fmt.Errorf("%s claim is missing", claim.name)
		}
	}
	namespace, name, err := serviceaccount.SplitUsername(subject)
	if err != nil || namespace != c.Namespace || name != c.Account {
		return errors.New("sub claim is invalid")
	}
	secret, err := v.o.Live.Secret(ctx, c.Namespace, c.SecretName)
	if err != nil || secret.DeletionTimestamp != nil {
		return errors.New("token has been invalidated")
	}
	if !bytes.Equal(secret.Data[corev1.ServiceAccountTokenKey], []byte(text)) {
		return errors.New("token does not match server's copy")
	}
	account, err := v.account(ctx, c)
	switch {
	case err != nil:
		return err
	case account.DeletionTimestamp != nil:
		return errors.New("service account has been deleted")
	case string(account.UID) != c.AccountUID:
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", account.UID, c.AccountUID)
	}
	if secret.Labels[invalidSince] != "" {
		return fmt.Errorf("the token in secret %s/%s for service account %s/%s has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '%s' label from the secret to temporarily allow use of this token",
			c.Namespace, c.SecretName, c.Namespace, c.Account, invalidSince)
	}
	return nil
}

// account looks in the cache and, when that has nothing or another one, at the truth.
func (v *Verifier) account(ctx context.Context, c secretClaims) (*corev1.ServiceAccount, error) {
	if v.o.Cached != nil {
		if a, err := v.o.Cached.ServiceAccount(ctx, c.Namespace, c.Account); err == nil && string(a.UID) == c.AccountUID {
			return a, nil
		}
	}
	return v.o.Live.ServiceAccount(ctx, c.Namespace, c.Account)
}
