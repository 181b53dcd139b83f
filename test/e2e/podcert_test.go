package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/test/e2e/cluster"
)

// Certificates of pods, by a signer of ours, and what vouches for them.
func certificatesOfPods(t *testing.T, c *cluster.Cluster) {
	const signer = "pod-certificates.example/test"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pods"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	api := c.Client()
	source := func(name, optional string) string {
		return "          - clusterTrustBundle: {signerName: " + signer + ", labelSelector: {matchLabels: {e2e: " + name + "}}, path: " + name + ".pem, optional: " + optional + "}\n"
	}
	c.Apply(shell("certified", forever, `      volumeMounts: [{name: c, mountPath: /c}]
  volumes:
    - name: c
      projected:
        sources:
          - podCertificate: {signerName: `+signer+`, keyType: ECDSAP256, credentialBundlePath: bundle.pem}
`+source("roots", "false")+source("none", "true")) + "---" + shell("refused", forever, `      volumeMounts: [{name: c, mountPath: /c}]
  volumes: [{name: c, projected: {sources: [{podCertificate: {signerName: `+signer+`, keyType: ED25519, credentialBundlePath: bundle.pem}}]}}]
`))
	event := func(pod, want string) {
		t.Helper()
		c.Eventually(90*time.Second, "true", func() string {
			return yes(matched(`(?s).*`+want+`.*`, c.Kubectl("get", "events", "--field-selector", "reason=FailedMount,involvedObject.name="+pod, "-o", "jsonpath={.items[*].message}")))
		})
	}
	event("refused", `MountVolume.SetUp failed for volume "c" : credential bundle is not issued yet`)
	answerRequests(t, c, api, authority, key)
	event("refused", `PodCertificateRequest was permanently denied: reason="UnsupportedKeyType" message="ECDSAP256"`)
	event("certified", `combination of signerName and labelSelector matched zero ClusterTrustBundles`)
	// Only those who may attest for a signer make bundles of it: the administrator may.
	name := "pod-certificates.example:test:" + c.Namespace()
	if _, err := api.CertificatesV1().ClusterTrustBundles().Create(t.Context(), &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"e2e": "roots"}},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: root},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Kubectl("wait", "--for=condition=Ready", "pod/certified", "--timeout=180s")
	same(t, "trust anchors", c.Kubectl("exec", "certified", "--", "cat", "/c/roots.pem"), root)
	same(t, "no anchors", c.Kubectl("exec", "certified", "--", "stat", "-L", "-c", "%s %a", "/c/none.pem"), "0 644")
	text := []byte(c.Kubectl("exec", "certified", "--", "cat", "/c/bundle.pem"))
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(root))
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil || pair.Leaf.Subject.CommonName != "certified" {
		t.Errorf("the certificate of %s: %v", pair.Leaf.Subject, err)
	}
	c.Kubectl("delete", "clustertrustbundle", name)
	c.Kubectl("delete", "pods", "--all", "--now", "--timeout=150s")
}

// answerRequests signs or denies until the story ends.
func answerRequests(t *testing.T, c *cluster.Cluster, api *kubernetes.Clientset, authority *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	requests := api.CertificatesV1().PodCertificateRequests(c.Namespace())
	answer := func(ctx context.Context, r *certificatesv1.PodCertificateRequest) error {
		if len(r.Status.Conditions) > 0 {
			return nil
		}
		said := metav1.Condition{Type: "Denied", Status: metav1.ConditionTrue, Reason: "UnsupportedKeyType", Message: "ECDSAP256"}
		stub, err := x509.ParseCertificateRequest(r.Spec.StubPKCS10Request)
		if err != nil {
			return err
		}
		if _, ok := stub.PublicKey.(*ecdsa.PublicKey); ok {
			leaf := &x509.Certificate{
				SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: r.Spec.PodName},
				NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(2 * time.Hour),
			}
			der, err := x509.CreateCertificate(rand.Reader, leaf, authority, stub.PublicKey, key)
			if err != nil {
				return err
			}
			said = metav1.Condition{Type: "Issued", Status: metav1.ConditionTrue, Reason: "Issued", Message: "here it is"}
			signed, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			from, until, refresh := metav1.NewTime(signed.NotBefore), metav1.NewTime(signed.NotAfter), metav1.NewTime(signed.NotAfter.Add(-time.Hour))
			r.Status.NotBefore, r.Status.NotAfter, r.Status.BeginRefreshAt = &from, &until, &refresh
			r.Status.CertificateChain = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
		r.Status.Conditions = append(r.Status.Conditions, said)
		_, err = requests.UpdateStatus(ctx, r, metav1.UpdateOptions{})
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	list, err := requests.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	more, err := requests.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); more.Stop(); <-ended })
	for i := range list.Items {
		if err := answer(ctx, &list.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		defer close(ended)
		for e := range more.ResultChan() {
			if r, ok := e.Object.(*certificatesv1.PodCertificateRequest); ok && e.Type != "DELETED" {
				if err := answer(ctx, r); err != nil && ctx.Err() == nil {
					t.Errorf("sign: %v", err)
				}
			}
		}
	}()
}
