package all_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/controller/all/alltest"
)

// Certificate signing requests against the real API server: what people approve
// is signed, nodes are approved for themselves only, what does not fit fails.
func TestCertificateSigningRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	y := &yard{alltest.Start(t, alltest.Options{Without: []string{"node-lifecycle", "pod-garbage-collector"}}), t, t.Context()}
	must(t, y.errOf(y.Client.CoreV1().Nodes().Create(y.ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}},
	}, metav1.CreateOptions{})))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ask := func(name, user string, groups []string, signer string, auth certificatesv1.KeyUsage, of *x509.CertificateRequest) {
		t.Helper()
		der, err := x509.CreateCertificateRequest(rand.Reader, of, key)
		must(t, err)
		csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}}
		csr.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		csr.Spec.SignerName, csr.Spec.Usages = signer, []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, auth}
		client, err := kubernetes.NewForConfig(y.As(user, groups...))
		must(t, err)
		y.until("may ask for "+name, func() string { // its rights are known
			_, err := client.CertificatesV1().CertificateSigningRequests().Create(y.ctx, csr, metav1.CreateOptions{})
			if apierrors.IsForbidden(err) {
				return err.Error()
			}
			must(t, err)
			return ""
		})
	}
	get := func(name string) *certificatesv1.CertificateSigningRequest {
		csr, err := y.Client.CertificatesV1().CertificateSigningRequests().Get(y.ctx, name, metav1.GetOptions{})
		must(t, err)
		return csr
	}
	says := func(name, want string) *certificatesv1.CertificateSigningRequest {
		t.Helper()
		var csr *certificatesv1.CertificateSigningRequest
		y.until("request "+name, func() string {
			csr = get(name)
			var all []string
			for _, c := range csr.Status.Conditions {
				all = append(all, fmt.Sprintf("%s %s: %s", c.Type, c.Reason, c.Message))
			}
			if len(csr.Status.Certificate) > 0 {
				all = append(all, "issued")
			}
			if got := strings.Join(all, "; "); got != want {
				return fmt.Sprintf("%q, want %q", got, want)
			}
			return ""
		})
		return csr
	}
	approve := func(name string) {
		csr := get(name)
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Person", Message: "m",
		})
		must(t, y.errOf(y.Client.CertificatesV1().CertificateSigningRequests().UpdateApproval(y.ctx, name, csr, metav1.UpdateOptions{})))
	}
	admin, nodes := []string{"system:masters"}, []string{"system:nodes"}
	node := func(name string, dns ...string) *x509.CertificateRequest {
		return &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:" + name, Organization: nodes}, DNSNames: dns}
	}
	const client, kubelet, serving = certificatesv1.KubeAPIServerClientSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.KubeletServingSignerName
	alice := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "alice", Organization: []string{"crew"}}}

	ask("alice", "admin", admin, client, certificatesv1.UsageClientAuth, alice)
	ask("wrong", "admin", admin, client, certificatesv1.UsageServerAuth, alice)
	approve("alice")
	approve("wrong")
	says("wrong", "Approved Person: m; Failed SignerValidationFailure: invalid usage for client certificate: server auth")
	issued := says("alice", "Approved Person: m; issued")

	// The certificate works, and is alice's.
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	asAlice, err := kubernetes.NewForConfig(&rest.Config{Host: "https://" + y.Server.Addr().String(), TLSClientConfig: rest.TLSClientConfig{
		CAData: y.PKI.CA.CertPEM, CertData: issued.Status.Certificate, KeyData: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}})
	must(t, err)
	_, err = asAlice.CoreV1().Secrets("default").List(y.ctx, metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "alice" cannot list resource "secrets"`) {
		t.Errorf("with alice's certificate: %v", err)
	}

	// A joining machine is approved as any node; a node as itself only.
	ask("join", "system:bootstrap:abcdef", []string{"system:bootstrappers", "system:bootstrappers:berth:join"}, kubelet, certificatesv1.UsageClientAuth, node("n2"))
	ask("renew", "system:node:n1", nodes, kubelet, certificatesv1.UsageClientAuth, node("n1"))
	says("join", "Approved AutoApproved: Auto approving kubelet client certificate after SubjectAccessReview.; issued")
	says("renew", "Approved AutoApproved: Auto approving self kubelet client certificate after SubjectAccessReview.; issued")
	ask("serve", "system:node:n1", nodes, serving, certificatesv1.UsageServerAuth, node("n1", "n1"))
	says("serve", "Approved AutoApproved: Auto approving kubelet serving certificate of the node itself, for its own name and addresses.; issued")

	// What is not approved: looked at before what follows it is.
	ask("stranger", "system:node:n1", nodes, "example.com/signer", certificatesv1.UsageClientAuth, node("n1"))
	ask("kubernetes", "system:node:n1", nodes, serving, certificatesv1.UsageServerAuth, node("n1", "kubernetes"))
	ask("early", "system:node:n3", nodes, serving, certificatesv1.UsageServerAuth, node("n3", "n3"))
	ask("after", "system:node:n1", nodes, serving, certificatesv1.UsageServerAuth, node("n1", "n1"))
	says("after", "Approved AutoApproved: Auto approving kubelet serving certificate of the node itself, for its own name and addresses.; issued")
	for _, name := range []string{"stranger", "kubernetes", "early"} {
		says(name, "")
	}
	// A node that says who it is later is approved then.
	must(t, y.errOf(y.Client.CoreV1().Nodes().Create(y.ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n3"}}, metav1.CreateOptions{})))
	says("early", "Approved AutoApproved: Auto approving kubelet serving certificate of the node itself, for its own name and addresses.; issued")

	// Old ones go, without anything else happening.
	csr := get("renew")
	csr.Status.Conditions[0].LastUpdateTime = metav1.NewTime(time.Now().Add(-61 * time.Minute))
	must(t, y.errOf(y.Client.CertificatesV1().CertificateSigningRequests().UpdateApproval(y.ctx, "renew", csr, metav1.UpdateOptions{})))
	y.until("the old request to go", func() string {
		if _, err := y.Client.CertificatesV1().CertificateSigningRequests().Get(y.ctx, "renew", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
}

// errOf drops what a write returned beside its error.
func (y *yard) errOf(_ any, err error) error { return err }
