package volume

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// newKey makes a key of a podCertificate source's type, in PEM, and the empty
// certificate request that proves who has it.
func newKey(kind string) (key, stub []byte, err error) {
	var private crypto.Signer
	switch kind {
	case "RSA3072":
		private, err = rsa.GenerateKey(rand.Reader, 3072)
	case "RSA4096":
		private, err = rsa.GenerateKey(rand.Reader, 4096)
	case "ECDSAP256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ECDSAP384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ECDSAP521":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ED25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("unknown key type %q", kind)
	}
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	stub, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), stub, err
}

// shown are key and chain that the volume at path shows, nil when they are not
// there or no longer good.
func shown(path string, src *corev1.PodCertificateProjection, now time.Time) (key, chain []byte) {
	read := func(name string) []byte {
		if name == "" || checkFileName(name) != nil {
			return nil
		}
		text, _ := os.ReadFile(filepath.Join(path, dataLink, name))
		return text
	}
	text := read(src.CredentialBundlePath)
	if text == nil {
		text = append(read(src.KeyPath), read(src.CertificateChainPath)...)
	}
	first, rest := pem.Decode(text)
	if first == nil || first.Type != "PRIVATE KEY" {
		return nil, nil
	}
	key, chain = pem.EncodeToMemory(first), cleanChain(rest)
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil || now.After(pair.Leaf.NotAfter) {
		return nil, nil
	}
	return key, chain
}

// cleanChain is a chain without what is written beside its certificates.
func cleanChain(text []byte) []byte {
	var out []byte
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
	}
}
