package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	settledLife = time.Hour      // after it was signed, denied or has failed
	pendingLife = 24 * time.Hour // after it was made, or approved and nobody signed
)

// expiry is the moment after which the request is deleted, the first of those
// that apply; zero when none does.
func expiry(csr *certificatesv1.CertificateSigningRequest) (end time.Time) {
	after := func(since metav1.Time, d time.Duration) {
		if at := since.Add(d); !since.IsZero() && (end.IsZero() || at.Before(end)) {
			end = at
		}
	}
	if len(csr.Status.Conditions) == 0 {
		after(csr.CreationTimestamp, pendingLife)
	}
	issued := len(csr.Status.Certificate) > 0
	for _, c := range csr.Status.Conditions {
		switch c.Type {
		case certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			after(c.LastUpdateTime, settledLife)
		case certificatesv1.CertificateApproved:
			if !issued {
				after(c.LastUpdateTime, pendingLife)
				continue
			}
			after(c.LastUpdateTime, settledLife)
			if block, _ := pem.Decode(csr.Status.Certificate); block != nil {
				if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
					after(metav1.NewTime(cert.NotAfter), 0)
				}
			}
		}
	}
	return end
}
