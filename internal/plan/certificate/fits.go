package certificate

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// NodePrefix is before a node's name in its user name.
const (
	NodePrefix = "system:node:"
	nodesGroup = "system:nodes"
)

var (
	errOrganization = errors.New("subject organization is not system:nodes")
	errCommonName   = errors.New("subject common name does not begin with system:node:") //nolint:staticcheck // upstream says it so
	errNoAddress    = errors.New("DNS or IP subjectAltName is required")
	errDNS          = errors.New("DNS subjectAltNames are not allowed")
	errEmail        = errors.New("Email subjectAltNames are not allowed") //nolint:staticcheck // upstream says it so
	errIP           = errors.New("IP subjectAltNames are not allowed")
	errURI          = errors.New("URI subjectAltNames are not allowed")
)

// fits says why a signer refuses an approved request.
func fits(csr *certificatesv1.CertificateSigningRequest, req *x509.CertificateRequest) error {
	switch csr.Spec.SignerName {
	case certificatesv1.KubeAPIServerClientSignerName:
		return clientUsages(csr.Spec.Usages)
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return clientOfKubelet(req, csr.Spec.Usages)
	case certificatesv1.KubeletServingSignerName:
		return servingOfKubelet(req, csr.Spec.Usages)
	}
	return nil
}

func clientUsages(usages []certificatesv1.KeyUsage) error {
	for _, u := range usages {
		switch u {
		case certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth:
		default:
			return fmt.Errorf("invalid usage for client certificate: %s", u)
		}
	}
	if !slices.Contains(usages, certificatesv1.UsageClientAuth) {
		return fmt.Errorf("missing required usage for client certificate: %s", certificatesv1.UsageClientAuth)
	}
	return nil
}

func clientOfKubelet(req *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(req.Subject.Organization, []string{nodesGroup}):
		return errOrganization
	case len(req.DNSNames) > 0:
		return errDNS
	case len(req.EmailAddresses) > 0:
		return errEmail
	case len(req.IPAddresses) > 0:
		return errIP
	case len(req.URIs) > 0:
		return errURI
	case !strings.HasPrefix(req.Subject.CommonName, NodePrefix):
		return errCommonName
	}
	return kubeletUsages(usages, certificatesv1.UsageClientAuth)
}

func servingOfKubelet(req *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(req.Subject.Organization, []string{nodesGroup}):
		return errOrganization
	case len(req.DNSNames) == 0 && len(req.IPAddresses) == 0:
		return errNoAddress
	case len(req.EmailAddresses) > 0:
		return errEmail
	case len(req.URIs) > 0:
		return errURI
	}
	if err := kubeletUsages(usages, certificatesv1.UsageServerAuth); err != nil {
		return err
	}
	if !strings.HasPrefix(req.Subject.CommonName, NodePrefix) {
		return errCommonName
	}
	return nil
}

// kubeletUsages wants a signature and auth; keys of RSA also encipher.
func kubeletUsages(usages []certificatesv1.KeyUsage, auth certificatesv1.KeyUsage) error {
	have := slices.Compact(slices.Sorted(slices.Values(usages)))
	few := slices.Sorted(slices.Values([]certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, auth}))
	all := slices.Sorted(slices.Values(append(few, certificatesv1.UsageKeyEncipherment)))
	if !slices.Equal(have, few) && !slices.Equal(have, all) {
		return fmt.Errorf("usages did not match %v", all)
	}
	return nil
}
