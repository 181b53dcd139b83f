package authn

import (
	"context"
	"crypto/subtle"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	bootstrapGroup     = "system:bootstrappers"
	bootstrapUser      = "system:bootstrap:"
	bootstrapSecret    = "bootstrap-token-"
	bootstrapType      = corev1.SecretType("bootstrap.kubernetes.io/token")
	bootstrapNamespace = "kube-system"

	// JoinGroup is what machines are in that join with the server's own token.
	JoinGroup = bootstrapGroup + ":berth:join"
)

var (
	bootstrapToken  = regexp.MustCompile(`\A([a-z0-9]{6})\.([a-z0-9]{16})\z`)
	bootstrapGroups = regexp.MustCompile(`\A` + bootstrapGroup + `:[a-z0-9:-]{0,255}[a-z0-9]\z`)
)

// BootstrapTokens knows the tokens that new machines join with: the Secrets of
// upstream's type in kube-system, and the server's own.
type BootstrapTokens struct {
	// Secrets finds a token's Secret. A token is rarely used: it is read when it is.
	Secrets Objects
	// Join is the server's own token, "id.secret"; "" means none.
	Join  string
	Clock clock.PassiveClock
}

// AuthenticateToken implements authenticator.Token. What is wrong with a token
// is for the log only: its bearer hears "Unauthorized".
func (b *BootstrapTokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	parts := bootstrapToken.FindStringSubmatch(token)
	if parts == nil {
		return nil, false, nil
	}
	id := parts[1]
	if b.Join != "" && same(b.Join, token) {
		return bearer(id, JoinGroup), true, nil
	}
	secret, err := b.Secrets.Secret(ctx, bootstrapNamespace, bootstrapSecret+id)
	if err != nil {
		klog.V(3).InfoS("No bootstrap token", "id", id, "err", err)
		return nil, false, nil
	}
	groups, err := b.check(secret, id, parts[2])
	if err != nil {
		klog.V(3).InfoS("Bootstrap token refused", "secret", klog.KObj(secret), "err", err)
		return nil, false, nil
	}
	return bearer(id, groups...), true, nil
}

func bearer(id string, groups ...string) *authenticator.Response {
	return &authenticator.Response{User: &user.DefaultInfo{Name: bootstrapUser + id, Groups: append([]string{bootstrapGroup}, groups...)}}
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// check returns the further groups of a good token.
func (b *BootstrapTokens) check(s *corev1.Secret, id, secret string) ([]string, error) {
	data := func(key string) string { return string(s.Data[key]) }
	switch {
	case s.DeletionTimestamp != nil:
		return nil, fmt.Errorf("it is being deleted")
	case s.Type != bootstrapType:
		return nil, fmt.Errorf("its type is %q", s.Type)
	case !same(data("token-secret"), secret):
		return nil, fmt.Errorf("token-secret is another")
	case data("token-id") != id:
		return nil, fmt.Errorf("token-id is %q", data("token-id"))
	case data("usage-bootstrap-authentication") != "true":
		return nil, fmt.Errorf("it is not for authentication")
	}
	if text := data("expiration"); text != "" {
		end, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, err
		}
		if !b.Clock.Now().Before(end) {
			return nil, fmt.Errorf("it expired at %s", text)
		}
	}
	var groups []string
	for _, g := range strings.Split(data("auth-extra-groups"), ",") {
		if g == "" {
			continue
		}
		if !bootstrapGroups.MatchString(g) {
			return nil, fmt.Errorf("bootstrap group %q is invalid (must match %s)", g, bootstrapGroups)
		}
		groups = append(groups, g)
	}
	return groups, nil
}
