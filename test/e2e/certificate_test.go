package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// What `kubectl certificate approve` approves is signed, and kubectl can work
// with it.
func certificates(t *testing.T, c *cluster.Cluster) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane", Organization: []string{"crew"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	c.Apply(`
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: jane}
spec:
  request: ` + base64.StdEncoding.EncodeToString(request) + `
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 86400
  usages: [client auth]
`)
	c.Kubectl("certificate", "approve", "jane")
	c.Eventually(60*time.Second, "Approved,Issued", func() string {
		fields := strings.Fields(c.Kubectl("get", "csr", "jane", "--no-headers"))
		return fields[len(fields)-1]
	})
	cert, err := base64.StdEncoding.DecodeString(c.Kubectl("get", "csr", "jane", "-o", "jsonpath={.status.certificate}"))
	if err != nil {
		t.Fatal(err)
	}
	c.Kubectl("create", "rolebinding", "jane", "--clusterrole=view", "--user=jane")
	as := []string{
		"--kubeconfig", "/dev/null", "--server", "https://127.0.0.1:6443", "--certificate-authority", filepath.Join(c.Data, "pki", "ca.crt"),
		"--client-certificate", c.File("jane.crt", string(cert)),
		"--client-key", c.File("jane.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))),
	}
	says(t, "auth whoami", c.Kubectl(append(as, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")...), `jane ["crew","system:authenticated"]`)
	c.Eventually(60*time.Second, "yes", func() string {
		out, _ := c.Try(append(as, "auth", "can-i", "list", "pods")...)
		return strings.TrimSpace(out)
	})
	says(t, "secrets", c.Refused(append(as, "get", "secrets")...), `User "jane" cannot list resource "secrets"`)
	c.Kubectl("delete", "csr", "jane")
}
