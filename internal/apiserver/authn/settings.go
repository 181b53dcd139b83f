package authn

import (
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/utils/ptr"
)

// Settings are what an administrator says about authentication, with upstream's flags.
type Settings struct {
	// Anonymous lets requests without credentials in, as system:anonymous.
	Anonymous bool
	// ConfigFile is an AuthenticationConfiguration, watched for changes; "" means none.
	ConfigFile string
	// OIDC is the older way to name one issuer of identity tokens.
	OIDC OIDC
	// Issuers of service account tokens, the first of which signs; empty means
	// the API server's own name in the cluster.
	Issuers []string
	// Audiences of the API server; empty means the issuers.
	Audiences []string
	// MaxTokenLife shortens longer requests for service account tokens; 0 means no limit.
	MaxTokenLife time.Duration
	// ExtendTokens lets pods' tokens live longer than asked for, see Minter.NoStretch.
	ExtendTokens bool
}

// DefaultSettings are upstream's.
func DefaultSettings() Settings {
	return Settings{Anonymous: true, ExtendTokens: true, OIDC: OIDC{UsernameClaim: "sub", SigningAlgorithms: []string{"RS256"}}}
}

// Validate reports what contradicts itself, naming the flag.
func (s Settings) Validate() error {
	var all []error
	o := s.OIDC
	if (o.IssuerURL == "") != (o.ClientID == "") {
		all = append(all, errors.New("--oidc-issuer-url: --oidc-issuer-url and --oidc-client-id must be specified together"))
	}
	if o.IssuerURL != "" && s.ConfigFile != "" {
		all = append(all, errors.New("--authentication-config: authentication-config file and oidc-* flags are mutually exclusive"))
	}
	if s.MaxTokenLife < 0 || s.MaxTokenLife > 0 && (s.MaxTokenLife < time.Hour || s.MaxTokenLife > time.Duration(mostSeconds)*time.Second) {
		all = append(all, errors.New("--service-account-max-token-expiration: the service-account-max-token-expiration must be between 1 hour and 2^32 seconds"))
	}
	return errors.Join(all...)
}

// OIDC are upstream's --oidc-* flags.
type OIDC struct {
	IssuerURL, ClientID, CAFile   string
	UsernameClaim, UsernamePrefix string
	GroupsClaim, GroupsPrefix     string
	SigningAlgorithms             []string
	RequiredClaims                map[string]string
}

// configuration is what the file says or the flags mean.
func (s Settings) configuration() (*apiserver.AuthenticationConfiguration, error) {
	if s.ConfigFile != "" {
		return loadConfiguration(s.ConfigFile)
	}
	c := &apiserver.AuthenticationConfiguration{}
	if s.OIDC.IssuerURL == "" {
		return c, nil
	}
	jwt, err := s.OIDC.authenticator()
	c.JWT = append(c.JWT, jwt)
	return c, err
}

func (o OIDC) authenticator() (apiserver.JWTAuthenticator, error) {
	// Without a prefix, names of others must not look like names of ours. The
	// prefix "-" says that they may.
	prefix := o.UsernamePrefix
	switch {
	case prefix == "-":
		prefix = ""
	case prefix == "" && o.UsernameClaim != "email":
		prefix = o.IssuerURL + "#"
	}
	out := apiserver.JWTAuthenticator{
		Issuer: apiserver.Issuer{URL: o.IssuerURL, Audiences: []string{o.ClientID}},
		ClaimMappings: apiserver.ClaimMappings{
			Username: apiserver.PrefixedClaimOrExpression{Claim: o.UsernameClaim, Prefix: &prefix},
		},
	}
	if o.GroupsClaim != "" {
		out.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Claim: o.GroupsClaim, Prefix: ptr.To(o.GroupsPrefix)}
	}
	for claim, value := range o.RequiredClaims {
		out.ClaimValidationRules = append(out.ClaimValidationRules, apiserver.ClaimValidationRule{Claim: claim, RequiredValue: value})
	}
	if o.CAFile != "" {
		ca, err := os.ReadFile(o.CAFile)
		if err != nil {
			return out, fmt.Errorf("--oidc-ca-file: %w", err)
		}
		out.Issuer.CertificateAuthority = string(ca)
	}
	return out, nil
}

func loadConfiguration(file string) (*apiserver.AuthenticationConfiguration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--authentication-config: %w", err)
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	obj, err := runtime.Decode(codecs.UniversalDecoder(), data)
	if err != nil {
		return nil, fmt.Errorf("--authentication-config: %s: %w", file, err)
	}
	c, ok := obj.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("--authentication-config: %s: expected AuthenticationConfiguration, got %T", file, obj)
	}
	return c, nil
}
