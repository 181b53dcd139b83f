package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"berth.dev/berth/internal/api/certificates"
)

// signers asks who approves, signs and attests whether it may do so for the
// signer (CertificateApproval, CertificateSigning, ClusterTrustBundleAttest),
// and refuses to have masters certified (CertificateSubjectRestriction).
type signers struct {
	*admission.Handler
	authorizer authorizer.Authorizer
}

func newSigners(o Options) *signers {
	return &signers{admission.NewHandler(admission.Create, admission.Update), o.Authorizer}
}

// Validate implements admission.ValidationInterface.
func (p *signers) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != certificatesv1.GroupName {
		return nil
	}
	switch obj := a.GetObject().(type) {
	case *certificatesv1.CertificateSigningRequest:
		return p.request(ctx, a, obj)
	case *certificatesv1.ClusterTrustBundle:
		return p.bundle(ctx, a, obj)
	case *certificatesv1.PodCertificateRequest:
		return p.podRequest(ctx, a, obj)
	}
	return nil
}

func (p *signers) request(ctx context.Context, a admission.Attributes, r *certificatesv1.CertificateSigningRequest) error {
	if a.GetOperation() == admission.Create {
		return noMasters(a, r)
	}
	// What was asked for counts, not what the update would like to have been.
	old, ok := a.GetOldObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("expected type CertificateSigningRequest, got: %T", a.GetOldObject()))
	}
	signer := old.Spec.SignerName
	switch {
	case a.GetSubresource() == "approval" && !p.may(ctx, a.GetUserInfo(), "approve", signer):
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to approve requests with signerName %q", signer))
	case a.GetSubresource() == "status" && !equality.Semantic.DeepEqual(old.Status, r.Status) && !p.may(ctx, a.GetUserInfo(), "sign", signer):
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to sign requests with signerName %q", signer))
	}
	return nil
}

// noMasters refuses requests for certificates that no authorization holds.
func noMasters(a admission.Attributes, r *certificatesv1.CertificateSigningRequest) error {
	if r.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName || a.GetSubresource() != "" {
		return nil
	}
	parsed, err := certificates.ParseRequest(r.Spec.Request)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("failed to parse CSR: %w", err))
	}
	if slices.Contains(parsed.Subject.Organization, user.SystemPrivilegedGroup) {
		return admission.NewForbidden(a, fmt.Errorf("use of %s signer with system:masters group is not allowed", r.Spec.SignerName))
	}
	return nil
}

func (p *signers) bundle(ctx context.Context, a admission.Attributes, b *certificatesv1.ClusterTrustBundle) error {
	signer := b.Spec.SignerName
	if signer == "" || a.GetOperation() == admission.Update && onlyCollecting(b, a.GetOldObject()) {
		return nil
	}
	if !p.may(ctx, a.GetUserInfo(), "attest", signer) {
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to attest for signerName %q", signer))
	}
	return nil
}

// podRequest answers as upstream's validation does, which asks there.
func (p *signers) podRequest(ctx context.Context, a admission.Attributes, r *certificatesv1.PodCertificateRequest) error {
	old, ok := a.GetOldObject().(*certificatesv1.PodCertificateRequest)
	if !ok || a.GetSubresource() != "status" || equality.Semantic.DeepEqual(old.Status, r.Status) {
		return nil
	}
	who, signer := a.GetUserInfo(), old.Spec.SignerName
	if p.may(ctx, who, "sign", signer) {
		return nil
	}
	return errors.NewInvalid(a.GetKind().GroupKind(), a.GetName(), field.ErrorList{
		field.Forbidden(field.NewPath("spec", "signerName"), fmt.Sprintf("User %q is not permitted to \"sign\" for signer %q", who.GetName(), signer)),
	})
}

// may asks for the right to do something for one signer, or for all of its domain.
func (p *signers) may(ctx context.Context, who user.Info, verb, signer string) bool {
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: who, Verb: verb, ResourceRequest: true, Name: name,
			APIGroup: certificatesv1.GroupName, APIVersion: "*", Resource: "signers",
		})
		if err == nil && decision == authorizer.DecisionAllow {
			return true
		}
	}
	return false
}
