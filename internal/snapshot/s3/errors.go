package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7"
)

// ErrNotFound is in the error when there is no such object.
var ErrNotFound = errors.New("is not there")

// said is an error that needs no explanation.
type said string

func (s said) Error() string { return string(s) }

func errOf(format string, a ...any) error { return said(fmt.Sprintf(format, a...)) }

// explain says in one sentence what was wrong and what to do.
func (c Config) explain(err error, late bool) error {
	if answer := (minio.ErrorResponse{}); errors.As(err, &answer) {
		return c.answered(answer)
	}
	var (
		done     said
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		noTLS    tls.RecordHeaderError
		noHost   *net.DNSError
		endpoint = c.Endpoint
	)
	switch {
	case errors.As(err, &done):
		return done
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is of an authority that is not known here; give that one's certificate with --snapshot-s3-endpoint-ca", endpoint)
	case errors.As(err, &name):
		return fmt.Errorf("the certificate of %s is for another name (%w); correct --snapshot-s3-endpoint", endpoint, name)
	case errors.As(err, &invalid):
		return fmt.Errorf("the certificate of %s is not valid (%w); renew it, and look at this machine's clock", endpoint, invalid)
	case errors.As(err, &noTLS), errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s does not speak TLS; write --snapshot-s3-endpoint with http:// if Secrets may go over that network in clear text", endpoint)
	case late:
		return fmt.Errorf("%s has not done within %s; try again, or give more time with --snapshot-s3-timeout", endpoint, c.Timeout)
	case errors.As(err, &noHost):
		return fmt.Errorf("no host %s is known; correct --snapshot-s3-endpoint", noHost.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing answers at %s; correct --snapshot-s3-endpoint or start the store", endpoint)
	}
	return fmt.Errorf("%s: %w", endpoint, err)
}

// answered explains an error that the store gave.
func (c Config) answered(a minio.ErrorResponse) error {
	endpoint := c.Endpoint
	switch a.Code {
	case minio.NoSuchBucket:
		return fmt.Errorf("%s has no bucket %q; make it, or correct --snapshot-s3-bucket", endpoint, c.Bucket)
	case minio.NoSuchKey:
		return fmt.Errorf("%s %w; berth snapshot ls shows what is", c.URL(a.Key), ErrNotFound)
	case minio.AccessDenied, "AllAccessDisabled", "AccountProblem":
		return fmt.Errorf("%s denies access to bucket %q; its credentials need the rights s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject", endpoint, c.Bucket)
	case "InvalidAccessKeyId":
		return fmt.Errorf("%s does not know this access key; correct %s", endpoint, c.credentialsFrom())
	case "SignatureDoesNotMatch":
		return fmt.Errorf("%s knows the access key, and the secret is another; correct %s", endpoint, c.credentialsFrom())
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return fmt.Errorf("%s says that the session token has ended (%s); renew %s", endpoint, a.Code, c.credentialsFrom())
	case "RequestTimeTooSkewed":
		return fmt.Errorf("this machine's clock and that of %s are too far apart; set this one, with NTP", endpoint)
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "InvalidRegion":
		if a.Region != "" && a.Region != c.Region {
			return fmt.Errorf("bucket %q is in region %s; give --snapshot-s3-region %s", c.Bucket, a.Region, a.Region)
		}
		return fmt.Errorf("%s wants another region or endpoint for bucket %q (%s); correct --snapshot-s3-region", endpoint, c.Bucket, a.Message)
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "EntityTooLarge":
		return fmt.Errorf("%s has no room for it (%s)", endpoint, a.Message)
	}
	if a.StatusCode == http.StatusBadRequest && strings.Contains(a.Message+a.Code, "HTTP") {
		return fmt.Errorf("%s answers that it wants TLS; write --snapshot-s3-endpoint with https://", endpoint)
	}
	return fmt.Errorf("%s answers %s: %s", endpoint, a.Code, strings.TrimSuffix(a.Error(), "."))
}

func (c Config) credentialsFrom() string {
	if c.CredentialsFile != "" {
		return c.CredentialsFile
	}
	return keyVariable + " and " + secretVariable
}
