package secure

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/authn"
	"berth.dev/berth/internal/apiserver/bootstrap"
	"berth.dev/berth/internal/apiserver/secrettoken"
	"berth.dev/berth/internal/apiserver/typecheck"
	"berth.dev/berth/internal/pki"
)

// publishTrust tells aggregated API servers whom this one believes.
func (p *parts) publishTrust(ctx context.Context, s apiserver.Parts) error {
	trust := bootstrap.Trust{
		ClientCA: p.o.PKI.CA.CertPEM, FrontProxyCA: p.o.PKI.FrontProxyCA.CertPEM, Names: []string{pki.FrontProxyName},
		User: authn.Headers.User, UID: authn.Headers.UID, Group: authn.Headers.Group, ExtraPrefix: authn.Headers.ExtraPrefix,
	}
	go p.later(ctx, "the authorities for aggregated API servers", func(ctx context.Context) error {
		return trust.Publish(ctx, s.Client, p.o.Clock.Now())
	})
	return nil
}

// checkTypes has the types of policies checked, from the first policy on.
func (p *parts) checkTypes(s apiserver.Parts) {
	s.Presence.First(admissionregistrationv1.Resource("validatingadmissionpolicies"), func() {
		go func() {
			if err := typecheck.New(s.Client, p.o.Logger).Run(wait.ContextForChannel(s.Stopped)); err != nil {
				p.o.Logger.Error("the types of policies are not checked", "error", err)
			}
		}()
	})
}

// secretTokens has Secrets filled with service account tokens, from the first
// Secret on.
func (p *parts) secretTokens(s apiserver.Parts) {
	s.Presence.First(corev1.Resource("secrets"), func() {
		filler := secrettoken.New(s.Client, s.Informers, p.issuer, p.o.PKI.CA.CertPEM, p.o.Logger)
		go func() {
			if err := filler.Run(wait.ContextForChannel(s.Stopped)); err != nil {
				p.o.Logger.Error("service account tokens in secrets are not kept", "error", err)
			}
		}()
	})
}
