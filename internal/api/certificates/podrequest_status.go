package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/mail"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api/validation"
)

var (
	chainPath     = statusPath.Child("certificateChain")
	notBeforePath = statusPath.Child("notBefore")
	notAfterPath  = statusPath.Child("notAfter")
	refreshPath   = statusPath.Child("beginRefreshAt")
)

// validatePodRequestStatus lets a request end once: issued, denied or failed.
func validatePodRequestStatus(r, old *podRequest) field.ErrorList {
	var f validation.Findings
	if f.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta); len(f.List()) > 0 {
		return f.List()
	}
	finalConditions(&f, r)
	f.Add(metavalidation.ValidateConditions(r.Status.Conditions, statusPath.Child("conditions"))...)
	if len(f.List()) > 0 {
		return f.List()
	}
	only := func(wanted certificatesv1.PodCertificateRequestStatus, detail string) {
		if !equality.Semantic.DeepEqual(r.Status, wanted) {
			f.Invalid(statusPath, field.OmitValueType{}, detail)
		}
	}
	switch is := outcome(r); {
	case final(outcome(old)):
		only(old.Status, "immutable after PodCertificateRequest is issued, denied, or failed")
	case is == certificatesv1.PodCertificateRequestConditionTypeIssued:
		issued(&f, r, time.Now())
	case final(is):
		only(certificatesv1.PodCertificateRequestStatus{Conditions: r.Status.Conditions},
			"non-condition status fields must be empty when denying or failing the PodCertificateRequest")
	default:
		only(old.Status, `status is immutable unless transitioning to "Issued", "Denied", or "Failed"`)
	}
	return f.List()
}

func finalConditions(f *validation.Findings, r *podRequest) {
	known := 0
	for i, c := range r.Status.Conditions {
		// Upstream writes the index as a name, with a dot before it.
		p := statusPath.Child("conditions", fmt.Sprintf("[%d]", i))
		if !final(c.Type) {
			validation.Among(f, p.Child("type"), c.Type, certificatesv1.PodCertificateRequestConditionTypeIssued,
				certificatesv1.PodCertificateRequestConditionTypeDenied, certificatesv1.PodCertificateRequestConditionTypeFailed)
			continue
		}
		if known++; known > 1 {
			f.Invalid(p.Child("type"), c.Type, `There may be at most one condition with type "Issued", "Denied", or "Failed"`)
		}
		validation.Among(f, p.Child("status"), c.Status, metav1.ConditionTrue)
	}
}

// issued checks the certificate that ends a request.
func issued(f *validation.Findings, r *podRequest, now time.Time) {
	chain := r.Status.CertificateChain
	if len(chain) > largestChain {
		f.Add(field.TooLong(chainPath, chain, largestChain))
		return
	}
	block, rest := pem.Decode([]byte(chain))
	if block == nil {
		f.Invalid(chainPath, chain, "issued certificate chain must contain at least one certificate")
		return
	}
	if block.Type != "CERTIFICATE" {
		f.Invalid(chainPath, chain, "issued certificate chain must consist entirely of CERTIFICATE PEM blocks")
		return
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		f.Invalid(chainPath, chain, "leaf certificate does not parse as valid X.509")
		return
	}
	leafNames(f, leaf)
	parsed, err := x509.ParseCertificateRequest(r.Spec.StubPKCS10Request)
	if err != nil {
		f.Invalid(stubPath, r.Spec.StubPKCS10Request, "must be a valid PKCS#10 CSR")
		return
	}
	if !sameKey(parsed.PublicKey, leaf.PublicKey) {
		f.Invalid(chainPath, chain, "leaf certificate was not issued to the requested public key")
		return
	}
	required := func(p *field.Path, t *metav1.Time, detail string) {
		if t == nil {
			f.Required(p, detail)
		}
	}
	required(notBeforePath, r.Status.NotBefore, "must be present and consistent with the issued certificate")
	required(notAfterPath, r.Status.NotAfter, "must be present and consistent with the issued certificate")
	required(refreshPath, r.Status.BeginRefreshAt, "must be present and in the range [notbefore+10min, notafter-10min]")
	if len(f.List()) > 0 {
		return
	}
	if p, value, m := misdated(&r.Status, leaf, ptr.Deref(r.Spec.MaxExpirationSeconds, 0), now); p != nil {
		f.Invalid(p, value, m)
		return
	}
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			f.Invalid(chainPath, chain, "issued certificate chain must consist entirely of CERTFICATE PEM blocks")
			return
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			f.Invalid(chainPath, chain, "intermediate certificate does not parse as valid X.509")
			return
		}
	}
}

func leafNames(f *validation.Findings, leaf *x509.Certificate) {
	for _, name := range leaf.DNSNames {
		if name == "" {
			f.Invalid(chainPath, name, "leaf certificate should not contain empty DNSName")
		}
		if strings.Contains(name, "..") {
			f.Invalid(chainPath, name, "leaf certificate's DNSName should not contain '..'")
		}
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") {
			f.Invalid(chainPath, name, "leaf certificate's DNSName should not start or end with '.'")
		}
	}
	for _, address := range leaf.EmailAddresses {
		if _, err := mail.ParseAddress(address); err != nil {
			f.Invalid(chainPath, address, "leaf certificate should not contain invalid EmailAddress")
		}
	}
}

// misdated finds the first time of the status that the certificate does not bear out.
func misdated(s *certificatesv1.PodCertificateRequestStatus, leaf *x509.Certificate, longest int32, now time.Time) (*field.Path, any, string) {
	from, to, refresh := s.NotBefore.Time, s.NotAfter.Time, s.BeginRefreshAt.Time
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	switch {
	case !from.Equal(leaf.NotBefore):
		return notBeforePath, from, "must be set to the NotBefore time encoded in the leaf certificate"
	case from.Sub(now).Abs() >= 5*time.Minute:
		return notBeforePath, from, "must be set to within 5 minutes of kube-apiserver's current time"
	case !to.Equal(leaf.NotAfter):
		return notAfterPath, to, "must be set to the NotAfter time encoded in the leaf certificate"
	case lifetime < time.Hour:
		return chainPath, lifetime, "leaf certificate lifetime must be >= 1 hour"
	case lifetime > time.Duration(longest)*time.Second:
		return chainPath, lifetime, fmt.Sprintf("leaf certificate lifetime must be <= spec.maxExpirationSeconds (%v)", longest)
	case refresh.Before(from.Add(10 * time.Minute)):
		return refreshPath, refresh, "must be at least 10 minutes after status.notBefore"
	case refresh.After(to.Add(-10 * time.Minute)):
		return refreshPath, refresh, "must be at least 10 minutes before status.notAfter"
	}
	return nil, nil, ""
}
