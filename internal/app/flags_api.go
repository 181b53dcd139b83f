package app

import (
	"fmt"
	"regexp"

	"github.com/spf13/pflag"
	serveroptions "k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/authn"
	"berth.dev/berth/internal/pki"
)

// API is what the API server alone is told. The flags are kube-apiserver's.
type API struct {
	Authentication authn.Settings
	Audit          *serveroptions.AuditOptions
	// EncryptionConfig is an EncryptionConfiguration of the administrator's.
	EncryptionConfig       string
	EncryptionConfigReload bool
	// SecretsEncryption makes one, with a key in the data directory.
	SecretsEncryption bool
	FeatureGates      map[string]string
}

func defaultAPI() API {
	return API{Authentication: authn.DefaultSettings(), Audit: serveroptions.NewAuditOptions()}
}

// fine are flags that work and that the documentation leaves to kube-apiserver's.
var fine = regexp.MustCompile(`^audit-.*-(batch|truncate)-|-initial-backoff$|-version$`)

func (a *API) bindFlags(f *pflag.FlagSet) {
	s := &a.Authentication
	f.BoolVar(&s.Anonymous, "anonymous-auth", s.Anonymous, "let requests without credentials in, as user system:anonymous with its few rights")
	f.StringVar(&s.ConfigFile, "authentication-config", s.ConfigFile, "file with an AuthenticationConfiguration (issuers of identity tokens, anonymous access); a change is taken up at once")
	f.StringSliceVar(&s.Issuers, "service-account-issuer", s.Issuers, "issuers of service account tokens, the first of which signs (default: https://kubernetes.default.svc.<cluster-domain>)")
	f.StringSliceVar(&s.Audiences, "api-audiences", s.Audiences, "audiences that a token must be for (default: the issuers)")
	f.DurationVar(&s.MaxTokenLife, "service-account-max-token-expiration", s.MaxTokenLife, "longest life of a service account token; 0 is no limit")
	f.BoolVar(&s.ExtendTokens, "service-account-extend-token-expiration", s.ExtendTokens, "let the tokens that pods are given by default live for a year, for programs that never read theirs again")
	o := &s.OIDC
	f.StringVar(&o.IssuerURL, "oidc-issuer-url", o.IssuerURL, "OpenID issuer whose tokens are accepted; only https")
	f.StringVar(&o.ClientID, "oidc-client-id", o.ClientID, "the client that the issuer's tokens must be for")
	f.StringVar(&o.CAFile, "oidc-ca-file", o.CAFile, "CA of the issuer (default: the system's)")
	f.StringVar(&o.UsernameClaim, "oidc-username-claim", o.UsernameClaim, "claim that is the user's name")
	f.StringVar(&o.UsernamePrefix, "oidc-username-prefix", o.UsernamePrefix, "put before names (default: the issuer's URL and #, unless the claim is email); - is none")
	f.StringVar(&o.GroupsClaim, "oidc-groups-claim", o.GroupsClaim, "claim that lists the user's groups")
	f.StringVar(&o.GroupsPrefix, "oidc-groups-prefix", o.GroupsPrefix, "put before groups")
	f.StringSliceVar(&o.SigningAlgorithms, "oidc-signing-algs", o.SigningAlgorithms, "accepted signature algorithms")
	f.StringToStringVar(&o.RequiredClaims, "oidc-required-claim", o.RequiredClaims, "claims that a token must have, key=value")

	f.StringVar(&a.EncryptionConfig, "encryption-provider-config", a.EncryptionConfig, "file with an EncryptionConfiguration for what the datastore holds")
	f.BoolVar(&a.EncryptionConfigReload, "encryption-provider-config-automatic-reload", a.EncryptionConfigReload, "take up changes of that file without a restart")
	f.BoolVar(&a.SecretsEncryption, "secrets-encryption", a.SecretsEncryption, "encrypt Secrets in the datastore with a key made in DIR/pki/encryption.yaml")
	f.StringToStringVar(&a.FeatureGates, "feature-gates", a.FeatureGates, "switch features of the Kubernetes libraries on or off, CBORServingAndStorage=true")

	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	a.Audit.AddFlags(all)
	all.VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = fine.MatchString(flag.Name)
		f.AddFlag(flag)
	})
}

// check reports what is wrong, naming the flag.
func (a API) check(bad func(flag, format string, args ...any)) []error {
	var all []error
	if err := a.Authentication.Validate(); err != nil {
		all = append(all, err)
	}
	for _, err := range a.Audit.Validate() {
		all = append(all, fmt.Errorf("--audit: %w", err))
	}
	if (a.Audit.LogOptions.Path != "" || a.Audit.WebhookOptions.ConfigFile != "") && a.Audit.PolicyFile == "" {
		bad("audit-policy-file", "without a policy nothing is noted; say what to note")
	}
	if a.SecretsEncryption && a.EncryptionConfig != "" {
		bad("secrets-encryption", "cannot be joined with --encryption-provider-config; choose one")
	}
	if a.EncryptionConfigReload && a.EncryptionConfig == "" {
		bad("encryption-provider-config-automatic-reload", "needs --encryption-provider-config")
	}
	if err := utilfeature.DefaultMutableFeatureGate.DeepCopy().Set(a.gates()); err != nil {
		bad("feature-gates", "%v", err)
	}
	return all
}

// gates is the form that the library reads.
func (a API) gates() string {
	text := ""
	for name, on := range a.FeatureGates {
		if text != "" {
			text += ","
		}
		text += name + "=" + on
	}
	return text
}

// apply sets what the API server is told.
func (a API) apply(c *apiserver.Config, dir string) error {
	if err := utilfeature.DefaultMutableFeatureGate.Set(a.gates()); err != nil {
		return fmt.Errorf("--feature-gates: %w", err)
	}
	if a.Audit.PolicyFile != "" {
		c.Audit = a.Audit
	}
	c.Encryption = apiserver.Encryption{File: a.EncryptionConfig, Reload: a.EncryptionConfigReload}
	if a.EncryptionConfig != "" {
		return nil
	}
	file, err := pki.EnsureEncryption(dir, a.SecretsEncryption)
	c.Encryption = apiserver.Encryption{File: file, Reload: file != ""}
	return err
}
