// Package bootstraptoken is what follows from the Secrets that hold bootstrap
// tokens: when one is to be deleted, and how those for signing sign the
// kubeconfig in ConfigMap kube-public/cluster-info, so that a machine that
// knows a token can trust what it reads there without further credentials.
package bootstraptoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// Namespace is where tokens are.
	Namespace = "kube-system"
	// InfoNamespace and InfoName name the ConfigMap that is signed.
	InfoNamespace = "kube-public"
	InfoName      = "cluster-info"

	// SecretType is that of their Secrets.
	SecretType      = corev1.SecretType("bootstrap.kubernetes.io/token")
	signatureKey    = "jws-kubeconfig-"
	kubeconfigKey   = "kubeconfig"
	expirationKey   = "expiration"
	tokenIDKey      = "token-id"
	tokenSecretKey  = "token-secret"
	usageSigningKey = "usage-bootstrap-signing"
)

var name = regexp.MustCompile(`\Abootstrap-token-([a-z0-9]{6})\z`)

// Named reports whether a Secret of this name may sign.
func Named(secret string) bool { return name.MatchString(secret) }

// Expires says how long a token has still to live; never is true when its end
// is not set. An end that cannot be read has passed.
func Expires(secret *corev1.Secret, now time.Time) (left time.Duration, never bool) {
	text := string(secret.Data[expirationKey])
	if secret.Type != SecretType || text == "" {
		return 0, true
	}
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, false
	}
	return max(end.Sub(now), 0), false
}

// Sign returns the data that the ConfigMap should have: what it has, with one
// signature for each token that may sign. changed is false when it has it.
func Sign(info *corev1.ConfigMap, secrets []*corev1.Secret, now time.Time) (data map[string]string, changed bool, err error) {
	content, ok := info.Data[kubeconfigKey]
	if !ok {
		return info.Data, false, nil
	}
	data = maps.Clone(info.Data)
	maps.DeleteFunc(data, func(key, _ string) bool { return strings.HasPrefix(key, signatureKey) })
	for _, secret := range secrets {
		id, key, ok := signer(secret, now)
		if !ok {
			continue
		}
		signature, err := sign(content, id, key)
		if err != nil {
			return nil, false, fmt.Errorf("sign with token %s: %w", id, err)
		}
		data[signatureKey+id] = signature
	}
	return data, !maps.Equal(data, info.Data), nil
}

// signer is the id and the key of a token that may sign.
func signer(secret *corev1.Secret, now time.Time) (id, key string, ok bool) {
	parts := name.FindStringSubmatch(secret.Name)
	if parts == nil || secret.Type != SecretType || string(secret.Data[tokenIDKey]) != parts[1] || string(secret.Data[usageSigningKey]) != "true" {
		return "", "", false
	}
	if left, never := Expires(secret, now); !never && left == 0 {
		return "", "", false
	}
	key = string(secret.Data[tokenSecretKey])
	return parts[1], key, key != ""
}

// sign returns the JSON Web Signature (RFC 7515, HS256) of content, without the
// content itself.
func sign(content, id, key string) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		Key       string `json:"kid"`
	}{"HS256", id})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(encode(header) + "." + encode([]byte(content))))
	return encode(header) + ".." + encode(mac.Sum(nil)), nil
}
