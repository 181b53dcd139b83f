package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"k8s.io/utils/clock"
)

const (
	authorityYears = 10
	leafLife       = 365 * 24 * time.Hour
	renewBefore    = 90 * 24 * time.Hour
	// backdate lets a machine whose clock is a little behind use a new certificate.
	backdate = time.Hour
)

// Authority is a certificate authority of the cluster.
type Authority struct {
	// CertPEM is what clients trust.
	CertPEM []byte
	Cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	clock   clock.PassiveClock
}

// Subject says whom a certificate is for. DNSNames and IPs make it a serving
// certificate; without them it is a client certificate.
type Subject struct {
	CommonName   string
	Organization []string
	DNSNames     []string
	IPs          []net.IP
	// Peer is for both ends of a connection between servers.
	Peer bool
	// Chain shows the authority's certificate after this one, so that who knows
	// its hash can find it.
	Chain bool
}

func (s Subject) usages() []x509.ExtKeyUsage {
	switch {
	case s.Peer:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	case len(s.DNSNames)+len(s.IPs) > 0:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// Issue makes a key and a certificate for it.
func (a *Authority) Issue(s Subject) (Pair, error) {
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	return a.issueFor(key, s)
}

// Pool is the authority as a pool to verify against.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// NotAfter is the authority's own end.
func (a *Authority) NotAfter() time.Time { return a.Cert.NotAfter }

// Sign makes the certificate that template describes, its public key included,
// with a new serial number.
func (a *Authority) Sign(template *x509.Certificate) (der []byte, err error) {
	signed := *template
	if signed.SerialNumber, err = newSerial(); err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &signed, a.Cert, template.PublicKey, a.key)
}

func (a *Authority) issueFor(key *ecdsa.PrivateKey, s Subject) (Pair, error) {
	serial, err := newSerial()
	if err != nil {
		return Pair{}, err
	}
	now := a.clock.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: s.CommonName, Organization: s.Organization},
		NotBefore:    now.Add(-backdate).UTC(),
		NotAfter:     earlier(now.Add(leafLife), a.Cert.NotAfter).UTC(),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  s.usages(),
		DNSNames:     s.DNSNames,
		IPAddresses:  s.IPs,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{CertPEM: a.shown(der, s), KeyPEM: keyPEM}, nil
}

// shown is a certificate as it is kept in its file.
func (a *Authority) shown(der []byte, s Subject) []byte {
	if s.Chain {
		return append(encodeCert(der), a.CertPEM...)
	}
	return encodeCert(der)
}

// authorityFiles says how an authority is kept: in name.crt and name.key.
type authorityFiles struct {
	name string
	// issued matches the certificates that are worthless without this authority;
	// while one is there, a missing authority is an error and not a first start.
	issued string
	// loss is what a new authority costs.
	loss string
}

var (
	clusterAuthority = authorityFiles{
		name: "ca", issued: "*.crt",
		loss: "then every kubeconfig and node of this cluster must be given new certificates",
	}
	frontProxyAuthority = authorityFiles{
		name: "front-proxy-ca",
		loss: "aggregated API servers learn of it by themselves",
	}
	peerAuthority = authorityFiles{
		name: "peer-ca",
		loss: "the other servers of this cluster know this one no more",
	}
)

// ensureAuthority reads an authority, or makes it. The key is written first
// and the certificate follows from it, so a crash between the two leaves a key
// without a certificate, which nobody has trusted yet.
func ensureAuthority(dir string, f authorityFiles, c clock.PassiveClock) (*Authority, error) {
	certPath, keyPath := filepath.Join(dir, f.name+".crt"), filepath.Join(dir, f.name+".key")
	cure := fmt.Sprintf("restore %[1]s.crt and %[1]s.key from a backup; deleting both makes a new authority, and %[2]s", f.name, f.loss)
	certPEM, err := readFile(certPath)
	if err != nil {
		return nil, err
	}
	if f.issued != "" && certPEM == nil {
		if issued, _ := filepath.Glob(filepath.Join(dir, f.issued)); len(issued) > 0 {
			return nil, fmt.Errorf("%s is missing although certificates were issued with it: %s", certPath, cure)
		}
	}
	key, err := ensureKey(keyPath, certPEM == nil, cure)
	if err != nil {
		return nil, err
	}
	if certPEM == nil {
		if certPEM, err = selfSign(key, "berth-"+f.name, c.Now()); err != nil {
			return nil, err
		}
		if err := datadir.WriteFile(certPath, certPEM); err != nil {
			return nil, err
		}
	}
	cert, err := decodeCert(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s %w: %s", certPath, err, cure)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s does not belong to %s: %s", keyPath, certPath, cure)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%s is not the certificate of an authority: %s", certPath, cure)
	}
	if now := c.Now(); now.After(cert.NotAfter) {
		return nil, fmt.Errorf("%s ran out on %s: set the clock right, or delete %[3]s.crt and %[3]s.key for a new authority", certPath, cert.NotAfter.Format(time.DateOnly), f.name)
	}
	return &Authority{CertPEM: certPEM, Cert: cert, key: key, clock: c}, nil
}

func selfSign(key *ecdsa.PrivateKey, name string, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s@%d", name, now.Unix())},
		NotBefore:             now.Add(-backdate).UTC(),
		NotAfter:              now.AddDate(authorityYears, 0, 0).UTC(),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return encodeCert(der), nil
}

// ensureKey reads the key at path. A missing key is made when mayCreate, else
// it is an error that ends with cure.
func ensureKey(path string, mayCreate bool, cure string) (*ecdsa.PrivateKey, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if data != nil {
		key, err := decodeKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s %w: %s", path, err, cure)
		}
		return key, nil
	}
	if !mayCreate {
		return nil, fmt.Errorf("%s is missing: %s", path, cure)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	if data, err = encodeKey(key); err != nil {
		return nil, err
	}
	return key, datadir.WriteFile(path, data)
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// sameNames says whether cert serves exactly the names and addresses of s.
func sameNames(cert *x509.Certificate, s Subject) bool {
	names := func(in []string) []string { return slices.Compact(slices.Sorted(slices.Values(in))) }
	ips := func(in []net.IP) []string {
		out := make([]string, 0, len(in))
		for _, ip := range in {
			out = append(out, ip.String())
		}
		return names(out)
	}
	return slices.Equal(names(cert.DNSNames), names(s.DNSNames)) && slices.Equal(ips(cert.IPAddresses), ips(s.IPs))
}
