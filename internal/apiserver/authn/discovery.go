package authn

import (
	"crypto/ecdsa"
	"encoding/json"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

const (
	// ConfigurationPath and KeysPath are where others learn to verify our tokens.
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/openid/v1/jwks"
)

// Discovery answers GET on ConfigurationPath and KeysPath.
type Discovery struct {
	configuration, keys []byte
}

// NewDiscovery describes the issuer with that URL and its public keys.
func NewDiscovery(issuer string, keys []*ecdsa.PublicKey) (*Discovery, error) {
	configuration, err := json.Marshal(map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              issuer + KeysPath,
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{string(signature)},
	})
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	for _, key := range keys {
		id, err := keyID(key)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(signature), Use: "sig"})
	}
	encoded, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	return &Discovery{configuration, encoded}, nil
}

// ServeHTTP implements http.Handler.
func (d *Discovery) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, media := d.configuration, "application/json"
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is served here", http.StatusMethodNotAllowed)
		return
	case req.URL.Path == KeysPath:
		body, media = d.keys, "application/jwk-set+json"
	case req.URL.Path != ConfigurationPath:
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(body)
}
