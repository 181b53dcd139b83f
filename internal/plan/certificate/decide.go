package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
)

// legacySigner is what older versions gave requests that named no signer.
const legacySigner = "kubernetes.io/legacy-unknown"

// Authority is what signing depends on.
type Authority struct {
	// Longest is how long a certificate lasts that asked for nothing, or for more.
	Longest time.Duration
	// NotAfter is the authority's own end.
	NotAfter time.Time
}

// Review is a question to the authorizer: may the requestor create this
// subresource of certificatesigningrequests?
type Review struct {
	Subresource string
	// Message is that of the Approved condition if so.
	Message string
}

// Plan is what to do about a request; at most one of its parts is set.
type Plan struct {
	// Delete says that the request's time is over.
	Delete bool
	// Reviews are asked in order; the first that is allowed approves.
	Reviews []Review
	// Serving is the request for a node's serving certificate, to be approved
	// when ServesOnlyItself.
	Serving *x509.CertificateRequest
	// Fail is the message of a Failed condition.
	Fail string
	// Sign is the certificate to be, without its serial number.
	Sign *x509.Certificate
	// End is when the request is to be deleted if nothing happens to it; zero
	// when nobody knows.
	End time.Time
}

// Decide says what to do about one request. An error tells why nothing can be
// done now.
func Decide(csr *certificatesv1.CertificateSigningRequest, a Authority, now time.Time) (Plan, error) {
	if csr.DeletionTimestamp != nil {
		return Plan{}, nil
	}
	end := expiry(csr)
	if !end.IsZero() && now.After(end) {
		return Plan{Delete: true}, nil
	}
	p := Plan{End: end}
	approved, denied, failed := has(csr, certificatesv1.CertificateApproved), has(csr, certificatesv1.CertificateDenied), has(csr, certificatesv1.CertificateFailed)
	if len(csr.Status.Certificate) > 0 || denied || failed {
		return p, nil
	}
	switch csr.Spec.SignerName {
	case certificatesv1.KubeAPIServerClientSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.KubeletServingSignerName, legacySigner:
	default:
		return p, nil
	}
	req, err := parse(csr.Spec.Request)
	if err != nil {
		return p, fmt.Errorf("unable to parse csr %q: %w", csr.Name, err)
	}
	if !approved {
		p.Reviews = reviews(csr, req)
		if csr.Spec.SignerName == certificatesv1.KubeletServingSignerName && servingOfKubelet(req, csr.Spec.Usages) == nil {
			p.Serving = req
		}
		return p, nil
	}
	if err := fits(csr, req); err != nil {
		p.Fail = err.Error()
		return p, nil
	}
	p.Sign, err = template(csr, req, a, now)
	return p, err
}

// reviews are the questions whose yes approves a node's client certificate.
func reviews(csr *certificatesv1.CertificateSigningRequest, req *x509.CertificateRequest) []Review {
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName || clientOfKubelet(req, csr.Spec.Usages) != nil {
		return nil
	}
	var all []Review
	if csr.Spec.Username == req.Subject.CommonName {
		all = append(all, Review{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."})
	}
	return append(all, Review{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."})
}

// parse reads the request in PEM.
func parse(text []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// has says whether a condition is true. Those of these types cannot be false,
// but a very old object may say so.
func has(csr *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
		return c.Type == t && (c.Status == corev1.ConditionTrue || c.Status == "")
	})
}
