package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func chain(t *testing.T, key crypto.Signer, from, to time.Time, names ...string) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func asking(t *testing.T, key crypto.Signer) *podRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &podRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", ResourceVersion: "1"},
		Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: "example.com/s", PodName: "p", PodUID: "1", ServiceAccountName: "s", ServiceAccountUID: "2",
			NodeName: "node", NodeUID: "3", MaxExpirationSeconds: ptr.To[int32](7200), StubPKCS10Request: der,
		},
	}
}

// A certificate ends a request only if it is what was asked for.
func TestIssued(t *testing.T) {
	key, now := newKey(t), time.Now().UTC().Truncate(time.Second)
	r := asking(t, key)
	if errs := validatePodRequest(r); len(errs) > 0 {
		t.Fatal(errs)
	}
	hour := now.Add(time.Hour)
	for _, c := range []struct {
		name            string
		chain           string
		from, to, renew time.Time
		want            string
	}{
		{"as it should be", chain(t, key, now, hour, "a.example.com"), now, hour, now.Add(30 * time.Minute), ""},
		{"another's key", chain(t, newKey(t), now, hour), now, hour, hour, "leaf certificate was not issued to the requested public key"},
		{"wrong names", chain(t, key, now, hour, "a..b"), now, hour, hour, "leaf certificate's DNSName should not contain '..'"},
		{"another start", chain(t, key, now, hour), now.Add(time.Second), hour, hour, "must be set to the NotBefore time encoded in the leaf certificate"},
		{"another end", chain(t, key, now, hour), now, hour.Add(time.Second), hour, "must be set to the NotAfter time encoded in the leaf certificate"},
		{"too early", chain(t, key, now.Add(-6*time.Minute), hour), now.Add(-6 * time.Minute), hour, hour, "must be set to within 5 minutes of kube-apiserver's current time"},
		{"too short", chain(t, key, now, hour.Add(-time.Second)), now, hour.Add(-time.Second), now, "leaf certificate lifetime must be >= 1 hour"},
		{"too long", chain(t, key, now, now.Add(3*time.Hour)), now, now.Add(3 * time.Hour), now, "leaf certificate lifetime must be <= spec.maxExpirationSeconds (7200)"},
		{"renewed too early", chain(t, key, now, hour), now, hour, now, "must be at least 10 minutes after status.notBefore"},
		{"renewed too late", chain(t, key, now, hour), now, hour, hour, "must be at least 10 minutes before status.notAfter"},
		{"with more", chain(t, key, now, hour) + "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", now, hour, now.Add(30 * time.Minute), "intermediate certificate does not parse as valid X.509"},
	} {
		done := r.DeepCopy()
		done.Status = certificatesv1.PodCertificateRequestStatus{
			CertificateChain: c.chain, NotBefore: &metav1.Time{Time: c.from}, NotAfter: &metav1.Time{Time: c.to}, BeginRefreshAt: &metav1.Time{Time: c.renew},
			Conditions: []metav1.Condition{{Type: "Issued", Status: metav1.ConditionTrue, Reason: "R"}},
		}
		settled(done, r)
		errs := validatePodRequestStatus(done, r)
		switch {
		case c.want == "" && len(errs) > 0:
			t.Errorf("%s: %v", c.name, errs)
		case c.want != "" && (len(errs) != 1 || !strings.HasSuffix(errs[0].Error(), c.want)):
			t.Errorf("%s: got %v, want %s", c.name, errs, c.want)
		case c.want == "" && outcome(done) != "Issued":
			t.Errorf("%s: the outcome is %s", c.name, outcome(done))
		}
	}
}

// The request must be signed with the key that it is for.
func TestProofOfPossession(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := asking(t, key)
	if errs := validatePodRequest(r); len(errs) > 0 {
		t.Error(errs)
	}
	r.Spec.StubPKCS10Request[len(r.Spec.StubPKCS10Request)-1] ^= 1
	errs := validatePodRequest(r)
	if len(errs) != 1 || errs[0].Error() != "spec.stubPKCS10Request: Invalid value: could not verify proof-of-possession signature" {
		t.Errorf("got %v", errs)
	}
}
