package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

// legacySigner is the signer of requests that named none, in an older version.
const legacySigner = "kubernetes.io/legacy-unknown"

// usages are those that upstream knows, in the order of its messages.
var usages = slices.Sorted(slices.Values([]certificatesv1.KeyUsage{
	certificatesv1.UsageAny, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
	certificatesv1.UsageContentCommitment, certificatesv1.UsageCRLSign, certificatesv1.UsageDataEncipherment,
	certificatesv1.UsageDecipherOnly, certificatesv1.UsageDigitalSignature, certificatesv1.UsageEmailProtection,
	certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
	certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment,
	certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning,
	certificatesv1.UsageSMIME, certificatesv1.UsageServerAuth, certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
}))

var statusPath = field.NewPath("status")

// errata are the faults of a stored request, which it may keep.
type errata struct {
	legacy, unknownUsage, repeatedUsage        bool
	emptyType, repeatedType, bothJudged        bool
	anyCertificate, certificate, judgementAlso bool
}

func errataOf(r, old *signingRequest) errata {
	if old == nil {
		return errata{}
	}
	e := errata{
		legacy:        old.Spec.SignerName == legacySigner,
		repeatedUsage: repeats(old.Spec.Usages),
		bothJudged:    len(places(old, certificatesv1.CertificateApproved)) > 0 && len(places(old, certificatesv1.CertificateDenied)) > 0,
		emptyType:     len(places(old, "")) > 0,
		anyCertificate: bytes.Equal(r.Status.Certificate, old.Status.Certificate) ||
			certificateError(old.Status.Certificate) != nil,
	}
	for _, u := range old.Spec.Usages {
		e.unknownUsage = e.unknownUsage || !slices.Contains(usages, u)
	}
	var types []certificatesv1.RequestConditionType
	for _, c := range old.Status.Conditions {
		types = append(types, c.Type)
	}
	e.repeatedType = repeats(types)
	return e
}

func repeats[T comparable](list []T) bool {
	for i := range list {
		if slices.Contains(list[:i], list[i]) {
			return true
		}
	}
	return false
}

func validateRequest(r *signingRequest) field.ErrorList {
	var f validation.Findings
	checkRequest(&f, r, errata{})
	return f.List()
}

func validateRequestUpdate(r, old *signingRequest) field.ErrorList {
	return changedRequest(r, old, errataOf(r, old))
}

func validateRequestStatus(r, old *signingRequest) field.ErrorList {
	e := errataOf(r, old)
	e.certificate = true
	return changedRequest(r, old, e)
}

func validateRequestApproval(r, old *signingRequest) field.ErrorList {
	e := errataOf(r, old)
	e.judgementAlso = true
	return changedRequest(r, old, e)
}

func checkRequest(f *validation.Findings, r *signingRequest, e errata) {
	spec := field.NewPath("spec")
	f.Meta(&r.ObjectMeta, false, func(string, bool) []string { return nil })
	parsed, err := ParseRequest(r.Spec.Request)
	if err == nil {
		err = parsed.CheckSignature()
	}
	if err != nil {
		f.Invalid(spec.Child("request"), r.Spec.Request, err.Error())
	}
	if len(r.Spec.Usages) == 0 {
		f.Required(spec.Child("usages"), "")
	}
	for i, u := range r.Spec.Usages {
		if !e.unknownUsage {
			validation.Among(f, spec.Child("usages").Index(i), u, usages...)
		}
	}
	for i, u := range r.Spec.Usages {
		if !e.repeatedUsage && slices.Contains(r.Spec.Usages[:i], u) {
			f.Add(field.Duplicate(spec.Child("usages").Index(i), u))
		}
	}
	if r.Spec.SignerName == legacySigner && !e.legacy {
		f.Invalid(spec.Child("signerName"), r.Spec.SignerName, "the legacy signerName is not allowed via this API version")
	} else {
		f.SignerName(spec.Child("signerName"), r.Spec.SignerName)
	}
	if s := r.Spec.ExpirationSeconds; s != nil && *s < 600 {
		f.Invalid(spec.Child("expirationSeconds"), *s, "may not specify a duration less than 600 seconds (10 minutes)")
	}
	requestConditions(f, r, e)
	if !e.anyCertificate {
		if err := certificateError(r.Status.Certificate); err != nil {
			f.Invalid(statusPath.Child("certificate"), "<certificate data>", err.Error())
		}
	}
}

func requestConditions(f *validation.Findings, r *signingRequest, e errata) {
	p := statusPath.Child("conditions")
	for i, c := range r.Status.Conditions {
		if c.Type == "" && !e.emptyType {
			f.Required(p.Index(i).Child("type"), "")
		}
		allowed := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
		switch c.Type {
		case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			allowed = allowed[1:2]
		}
		validation.SetAndAmong(f, p.Index(i).Child("status"), c.Status, allowed...)
		if !e.repeatedType && slices.ContainsFunc(r.Status.Conditions[:i], func(o certificatesv1.CertificateSigningRequestCondition) bool { return o.Type == c.Type }) {
			f.Add(field.Duplicate(p.Index(i).Child("type"), c.Type))
		}
	}
	const approved, denied = `Conditions[{"type": "Approved"}]`, `Conditions[{"type": "Denied"}]`
	if !e.bothJudged && len(places(r, certificatesv1.CertificateApproved)) > 0 && len(places(r, certificatesv1.CertificateDenied)) > 0 {
		f.AddDeclared(field.Invalid(p, "{"+approved+", "+denied+"}",
			"must specify at most one of: `"+approved+"`, `"+denied+"`").WithOrigin("zeroOrOneOf"))
	}
}

// changedRequest checks an update: judgements and certificates come to stay.
func changedRequest(r, old *signingRequest, e errata) field.ErrorList {
	var f validation.Findings
	checkRequest(&f, r, e)
	p := statusPath.Child("conditions")
	final := []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed}
	for _, t := range final {
		if len(places(r, t)) < len(places(old, t)) {
			f.Forbidden(p, fmt.Sprintf("updates may not remove a condition of type %q", t))
		}
	}
	for _, t := range final[:2] {
		is, was := conditionsOf(r, t), conditionsOf(old, t)
		switch {
		case e.judgementAlso || len(is) < len(was):
		case len(is) > len(was):
			f.Forbidden(p, fmt.Sprintf("updates may not add a condition of type %q", t))
		case !equality.Semantic.DeepEqual(was, is):
			f.Forbidden(p, fmt.Sprintf("updates may not modify a condition of type %q\n%v", t, diff.Diff(was, is)))
		}
	}
	if !bytes.Equal(r.Status.Certificate, old.Status.Certificate) {
		switch {
		case !e.certificate:
			f.Forbidden(statusPath.Child("certificate"), "updates may not set certificate content")
		case len(old.Status.Certificate) > 0:
			f.Forbidden(statusPath.Child("certificate"), "updates may not modify existing certificate content")
		}
	}
	f.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	return f.List()
}

func conditionsOf(r *signingRequest, t certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var out []certificatesv1.CertificateSigningRequestCondition
	for _, i := range places(r, t) {
		out = append(out, r.Status.Conditions[i])
	}
	return out
}

// certificateError says why text is no chain of certificates in PEM.
func certificateError(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	found := false
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		found, text = true, rest
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		}
		if len(block.Headers) != 0 {
			return errors.New("no PEM block headers are permitted")
		}
		certificates, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(certificates) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}
