package apitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	requestx509 "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/apiserver"
)

// keys are one authority with a serving and an administrator's certificate.
type keys struct {
	serving                    apiserver.TLS
	proxy                      apiserver.FrontProxy
	proxyCA                    []byte
	adminCert, adminKey, caPEM []byte
	pool                       *x509.CertPool
}

func newKeys(t testing.TB, dir string) keys {
	t.Helper()
	caKey, caCert, caDER := makeCert(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test"}, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}, nil, nil)
	serverKey, _, serverDER := makeCert(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "berth"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, caCert, caKey)
	adminKey, _, adminDER := makeCert(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{user.SystemPrivilegedGroup}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, caCert, caKey)
	proxyCAKey, proxyCACert, proxyCADER := makeCert(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test-front-proxy"}, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}, nil, nil)
	proxyKey, _, proxyDER := makeCert(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "front-proxy-client"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, proxyCACert, proxyCAKey)
	k := keys{
		proxyCA:   certPEM(proxyCADER),
		caPEM:     certPEM(caDER),
		adminCert: certPEM(adminDER),
		adminKey:  keyPEM(t, adminKey),
		pool:      x509.NewCertPool(),
	}
	k.pool.AddCert(caCert)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	k.serving = apiserver.TLS{
		CertFile:     write("server.crt", certPEM(serverDER)),
		KeyFile:      write("server.key", keyPEM(t, serverKey)),
		ClientCAFile: write("ca.crt", k.caPEM),
	}
	k.proxy = apiserver.FrontProxy{
		CertFile: write("front-proxy-client.crt", certPEM(proxyDER)),
		KeyFile:  write("front-proxy-client.key", keyPEM(t, proxyKey)),
	}
	return k
}

// authenticator accepts client certificates of the authority.
func (k keys) authenticator(apiserver.Parts) (authenticator.Request, error) {
	options := requestx509.DefaultVerifyOptions()
	options.Roots = k.pool
	return requestx509.New(options, requestx509.CommonNameUserConversion), nil
}

func (k keys) client(addr net.Addr) *rest.Config {
	return &rest.Config{
		Host:            "https://" + addr.String(),
		QPS:             -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: k.caPEM, CertData: k.adminCert, KeyData: k.adminKey},
	}
}

func makeCert(t testing.TB, c, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert, der
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}
