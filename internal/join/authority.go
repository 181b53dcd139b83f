package join

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// ServerName is a name that every server's certificate holds, so that it can be
// checked whatever address the server is reached at.
const ServerName = "kubernetes"

// ErrForeign says that the server has another authority than the token names.
var ErrForeign = errors.New("the server does not show the authority that the token names: it is not the server of this token, or somebody stands between")

const connectTimeout = 10 * time.Second

// FetchAuthority returns the certificate in PEM of the authority that the token
// names. The server shows it with its own; nothing secret is sent before it has
// proved who it is.
func FetchAuthority(ctx context.Context, server string, t Token) ([]byte, error) {
	address, err := Address(server)
	if err != nil {
		return nil, err
	}
	var found *x509.Certificate
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: ServerName,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			found, err = verify(s.PeerCertificates, t)
			return err
		},
	}}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	conn.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: found.Raw}), nil
}

// verify finds the token's authority among what the server shows, and checks
// that the server's own certificate is of it.
func verify(shown []*x509.Certificate, t Token) (*x509.Certificate, error) {
	for _, ca := range shown {
		if !ca.IsCA || Hash(ca) != t.Authority {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		if _, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: ServerName}); err != nil {
			return nil, err
		}
		return ca, nil
	}
	return nil, ErrForeign
}

// Address is host:port of a server given as a URL.
func Address(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") {
		return "", fmt.Errorf("%q is not a server; use https://ADDRESS:6443", server)
	}
	if u.Port() == "" {
		return u.Host + ":6443", nil
	}
	return u.Host, nil
}
