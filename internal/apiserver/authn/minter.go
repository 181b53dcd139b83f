package authn

import (
	"context"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/registry/serviceaccount"
)

const (
	leastSeconds   int64 = 10 * 60
	mostSeconds    int64 = 1 << 32
	defaultSeconds int64 = 60 * 60
	// stretchable is the life that the ServiceAccount admission plugin asks for
	// in pods that did not ask themselves; such tokens are stretched.
	stretchable int64 = 60*60 + 7
	stretched         = 365 * 24 * time.Hour
)

// Minter answers TokenRequests. It implements serviceaccount.Minter.
type Minter struct {
	Issuer *Issuer
	// Audiences of the API server, for requests that name none.
	Audiences []string
	// MaxSeconds shortens longer requests; 0 means no limit.
	MaxSeconds int64
	// NoStretch gives the tokens of pods the life that they were asked for.
	// Without it such a token lives a year, or as long as its pod, and its use
	// after the asked time is noted in the audit log: programs that do not read
	// their token again keep working.
	NoStretch bool
	Clock     clock.PassiveClock
}

// ValidateTokenRequest returns upstream's errors.
func ValidateTokenRequest(r *authenticationv1.TokenRequest) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec", "expirationSeconds")
	seconds := ptr.Deref(r.Spec.ExpirationSeconds, defaultSeconds)
	if seconds < leastSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > mostSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	return errs
}

// Mint fills the defaults and the status of request with a token for account.
func (m *Minter) Mint(ctx context.Context, account *corev1.ServiceAccount, bound serviceaccount.Bound, request *authenticationv1.TokenRequest) error {
	if errs := ValidateTokenRequest(request); len(errs) > 0 {
		return apierrors.NewInvalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), "", errs)
	}
	seconds := ptr.Deref(request.Spec.ExpirationSeconds, defaultSeconds)
	if m.MaxSeconds > 0 && seconds > m.MaxSeconds {
		warning.AddWarning(ctx, "", fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", seconds, m.MaxSeconds))
		seconds = m.MaxSeconds
	}
	request.Spec.ExpirationSeconds = &seconds
	if len(request.Spec.Audiences) == 0 {
		request.Spec.Audiences = slices.Clone(m.Audiences)
	}
	now := m.Clock.Now()
	life := time.Duration(seconds) * time.Second
	g := grant{
		account: account, pod: bound.Pod, secret: bound.Secret, node: bound.Node,
		audiences: request.Spec.Audiences, now: now, life: life,
	}
	if g.node == nil && g.pod != nil && g.pod.Spec.NodeName != "" {
		// A node that is gone is still worth naming.
		g.node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: g.pod.Spec.NodeName}}
	}
	if !m.NoStretch && bound.Pod != nil && seconds == stretchable && m.ours(request.Spec.Audiences) {
		g.warnAfter, g.life = life, stretched
	}
	token, id, err := m.Issuer.issue(g)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	audit.AddAuditAnnotation(ctx, "authentication.kubernetes.io/issued-credential-id", "JTI="+id)
	request.Status = authenticationv1.TokenRequestStatus{
		Token:               token,
		ExpirationTimestamp: metav1.NewTime(now.Add(life)),
	}
	return nil
}

// ours says that a token is for nobody but the API server.
func (m *Minter) ours(audiences []string) bool {
	for _, a := range audiences {
		if !slices.Contains(m.Audiences, a) {
			return false
		}
	}
	return true
}
