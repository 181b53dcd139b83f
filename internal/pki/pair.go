package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"

	"berth.dev/berth/internal/base/datadir"
)

// Pair is a certificate with its key, and the files they are kept in (empty
// for a pair that Authority.Issue made).
type Pair struct {
	CertPEM, KeyPEM   []byte
	CertFile, KeyFile string
}

// TLS returns the pair for use in a tls.Config.
func (p Pair) TLS() (tls.Certificate, error) { return tls.X509KeyPair(p.CertPEM, p.KeyPEM) }

// ensurePair returns the pair kept under name, issued now when it is missing,
// near its end, of another authority or for another subject. A renewed
// certificate keeps its key, so that only one file changes.
func (a *Authority) ensurePair(dir, name string, s Subject) (Pair, error) {
	p := Pair{CertFile: filepath.Join(dir, name+".crt"), KeyFile: filepath.Join(dir, name+".key")}
	cure := fmt.Sprintf("delete %s.crt and %s.key in %s and start again: they are issued anew", name, name, dir)
	key, err := ensureKey(p.KeyFile, true, cure)
	if err != nil {
		return Pair{}, err
	}
	certPEM, err := readFile(p.CertFile)
	if err != nil {
		return Pair{}, err
	}
	if certPEM != nil {
		cert, err := decodeCert(certPEM)
		if err != nil {
			return Pair{}, fmt.Errorf("%s %w: %s", p.CertFile, err, cure)
		}
		if key.PublicKey.Equal(cert.PublicKey) && a.stillGood(cert, s) {
			p.CertPEM = a.shown(cert.Raw, s)
			if p.KeyPEM, err = encodeKey(key); err != nil || bytes.Equal(p.CertPEM, certPEM) {
				return p, err
			}
			return p, datadir.WriteFile(p.CertFile, p.CertPEM)
		}
	}
	issued, err := a.issueFor(key, s)
	if err != nil {
		return Pair{}, err
	}
	p.CertPEM, p.KeyPEM = issued.CertPEM, issued.KeyPEM
	return p, datadir.WriteFile(p.CertFile, p.CertPEM)
}

func (a *Authority) stillGood(cert *x509.Certificate, s Subject) bool {
	usages := s.usages()
	now := a.clock.Now()
	_, err := cert.Verify(x509.VerifyOptions{Roots: a.Pool(), CurrentTime: now, KeyUsages: usages[:1]})
	return err == nil &&
		// A certificate cut short by its authority's end cannot be made longer.
		(cert.NotAfter.Sub(now) >= renewBefore || cert.NotAfter.Equal(a.Cert.NotAfter)) &&
		cert.Subject.CommonName == s.CommonName &&
		slices.Equal(slices.Sorted(slices.Values(cert.Subject.Organization)), slices.Sorted(slices.Values(s.Organization))) &&
		slices.Equal(cert.ExtKeyUsage, usages) &&
		sameNames(cert, s)
}
