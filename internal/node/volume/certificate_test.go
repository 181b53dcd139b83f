package volume

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
)

// signer issues what is asked for on the fake API server.
type signer struct {
	t   *testing.T
	n   *node
	key *ecdsa.PrivateKey
}

var requests = certificatesv1.SchemeGroupVersion.WithResource("podcertificaterequests")

// withSigner names requests as the API server does.
func withSigner(t *testing.T, clk *clocktesting.FakeClock, objects ...runtime.Object) *signer {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "default", UID: "sa-uid"}}
	n := start(t, func(cfg *Config) {
		cfg.Clock, cfg.NodeName = clk, "n1"
		cfg.Node = func() *corev1.Node {
			return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-uid"}}
		}
	}, append(objects, account)...)
	var count atomic.Int32
	n.client.PrependReactor("create", "podcertificaterequests", func(action clienttesting.Action) (bool, runtime.Object, error) {
		r := action.(clienttesting.CreateAction).GetObject().(*certificatesv1.PodCertificateRequest)
		r.Name = fmt.Sprint(r.GenerateName, count.Add(1))
		return false, nil, nil
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, n, key}
}

// request waits until the request of that name is there and followed.
func (s *signer) request(name string) *certificatesv1.PodCertificateRequest {
	s.t.Helper()
	var r *certificatesv1.PodCertificateRequest
	soon(s.t, name+" is asked for", func() bool {
		o, err := s.n.client.Tracker().Get(requests, "ns", name)
		if err == nil {
			r = o.(*certificatesv1.PodCertificateRequest).DeepCopy()
		}
		return err == nil
	})
	// The fake API server tells a watch nothing of what was before it.
	for late := time.After(time.Minute); ; {
		select {
		case kind := <-s.n.watching:
			if kind == "podcertificaterequests" {
				return r
			}
		case <-late:
			s.t.Fatal("nobody follows " + name)
		}
	}
}

func (s *signer) say(r *certificatesv1.PodCertificateRequest, kind, reason, message string) {
	s.t.Helper()
	r.Status.Conditions = []metav1.Condition{{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}}
	r.ResourceVersion += "1"
	if err := s.n.client.Tracker().Update(requests, r, "ns"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *signer) issue(r *certificatesv1.PodCertificateRequest, refresh time.Time) {
	s.t.Helper()
	stub, err := x509.ParseCertificateRequest(r.Spec.StubPKCS10Request)
	if err != nil || stub.CheckSignature() != nil {
		s.t.Fatalf("the request: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: r.Name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, stub.PublicKey, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Status.CertificateChain = "a note\n" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	r.Status.BeginRefreshAt = ptr.To(metav1.NewTime(refresh))
	s.say(r, certificatesv1.PodCertificateRequestConditionTypeIssued, "Issued", "")
}

// holder is whose certificate a bundle holds, with a key that fits.
func holder(text string) string {
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		return err.Error()
	}
	return pair.Leaf.Subject.CommonName
}

func certified(keyType string) *corev1.Pod {
	p := pod("u1", volumeOf("c", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: ptr.To[int32](0o644), Sources: []corev1.VolumeProjection{
		{PodCertificate: &corev1.PodCertificateProjection{
			SignerName: "example.com/signer", KeyType: keyType, MaxExpirationSeconds: ptr.To[int32](7200),
			CredentialBundlePath: "both", KeyPath: "key", CertificateChainPath: "chain", UserAnnotations: map[string]string{"example.com/a": "b"},
		}},
	}}}))
	p.Spec.ServiceAccountName = "default"
	return p
}

func TestPodCertificate(t *testing.T) {
	needsMounts(t)
	clk := clocktesting.NewFakeClock(time.Now())
	s := withSigner(t, clk)
	p := certified("ECDSAP256")
	failed := make(chan error, 1)
	go func() {
		_, err := s.n.Setup(t.Context(), p)
		failed <- err
	}()
	r := s.request("req-1")
	if got, want := r.Spec, (certificatesv1.PodCertificateRequestSpec{SignerName: "example.com/signer", PodName: "p", PodUID: "u1", ServiceAccountName: "default", ServiceAccountUID: "sa-uid", NodeName: "n1", NodeUID: "node-uid"}); got.SignerName != want.SignerName ||
		got.PodName != want.PodName || got.PodUID != want.PodUID || got.ServiceAccountName != want.ServiceAccountName || got.ServiceAccountUID != want.ServiceAccountUID ||
		got.NodeName != want.NodeName || got.NodeUID != want.NodeUID || *got.MaxExpirationSeconds != 7200 || got.UnverifiedUserAnnotations["example.com/a"] != "b" {
		t.Errorf("asked for %+v", got)
	}
	if o := r.OwnerReferences; len(o) != 1 || o[0].Kind != "Pod" || o[0].APIVersion != "v1" || o[0].UID != "u1" {
		t.Errorf("owned by %+v", o)
	}
	// The signer takes its time: that is said, and nothing is asked for twice.
	soon(t, "the setup gives up", func() bool {
		select {
		case err := <-failed:
			if err == nil || !strings.Contains(err.Error(), `MountVolume.SetUp failed for volume "c" : credential bundle is not issued yet`) {
				t.Errorf("got %v", err)
			}
			return true
		default:
			clk.Step(s.n.cfg.missingWait) // its timer may be set only now
			return false
		}
	})
	refresh := clk.Now().Add(time.Hour)
	s.issue(r, refresh)
	var dir string
	soon(t, "the setup succeeds", func() bool {
		paths, err := s.n.Setup(t.Context(), p)
		dir = paths["c"]
		clk.Step(time.Millisecond)
		return err == nil
	})
	got := read(t, dir)
	if holder(got["both"]) != "req-1" || got["both"] != got["key"]+got["chain"] || strings.Contains(got["chain"], "a note") {
		t.Errorf("got %v", got)
	}
	if first, _ := pem.Decode([]byte(got["both"])); first == nil || first.Type != "PRIVATE KEY" {
		t.Error("the key does not come first")
	}
	check(t, filepath.Join(dir, "both"), 0o644, 0, 0)
	// When it is time a new one is asked for, and the old one stays until it is there.
	clk.SetTime(refresh.Add(jitter))
	second := s.request("req-2")
	if again := read(t, dir); again["both"] != got["both"] {
		t.Error("the files changed before there was anything new")
	}
	s.issue(second, clk.Now().Add(time.Hour))
	soon(t, "the new one is shown", func() bool {
		now, err := look(dir)
		return err == nil && holder(now["both"]) == "req-2" && now["key"] != got["key"]
	})
	// An agent that starts again has what the files show, and asks anew.
	before := read(t, dir)
	again := New(s.n.cfg)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- again.Run(ctx) }()
	if _, err := again.Setup(t.Context(), p); err != nil {
		t.Error(err)
	}
	s.request("req-3")
	if after := read(t, dir); after["both"] != before["both"] {
		t.Error("the files changed with the agent")
	}
	stop()
	<-ended
}

func TestPodCertificateRefused(t *testing.T) {
	needsMounts(t)
	for kind, word := range map[string]string{"Denied": "denied", "Failed": "failed"} {
		s := withSigner(t, clocktesting.NewFakeClock(time.Now()))
		p := certified("ED25519")
		answer := make(chan error, 1)
		go func() {
			_, err := s.n.Setup(t.Context(), p)
			answer <- err
		}()
		s.say(s.request("req-1"), kind, "UnsupportedKeyType", "try another")
		err := <-answer
		want := fmt.Sprintf(`PodCertificateRequest was permanently %s: reason="UnsupportedKeyType" message="try another"`, word)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := s.n.Setup(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, later: %v", kind, err)
		}
		if err := s.n.TearDown(t.Context(), p.UID); err != nil || len(s.n.certificates.has) != 0 {
			t.Errorf("%v, left: %v", err, s.n.certificates.has)
		}
	}
}

func TestNewKey(t *testing.T) {
	for _, kind := range []string{"RSA3072", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"} {
		key, stub, err := newKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(key)
		private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		r, err := x509.ParseCertificateRequest(stub)
		if err != nil || r.CheckSignature() != nil || len(r.Subject.Names) != 0 {
			t.Errorf("%s: %v", kind, err)
		}
		if equal, ok := private.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !equal.Equal(r.PublicKey) {
			t.Errorf("%s: the request is for another key", kind)
		}
	}
	if _, _, err := newKey("DSA"); err == nil || err.Error() != `unknown key type "DSA"` {
		t.Error(err)
	}
}

func bundle(name, signer, text string, labels map[string]string) *certificatesv1.ClusterTrustBundle {
	return &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, ResourceVersion: "1"},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: "about it\n" + anchor(text)},
	}
}

func anchor(text string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(text)}))
}

func TestClusterTrustBundles(t *testing.T) {
	needsMounts(t)
	const by = "example.com/signer"
	n := start(t, nil, bundle("one", "", "one", nil),
		bundle("example.com:signer:a", by, "a", map[string]string{"live": "yes"}), bundle("example.com:signer:b", by, "b", nil), bundle("example.com:other:c", "example.com/other", "c", nil))
	source := func(name, signer *string, selector *metav1.LabelSelector, optional bool) corev1.VolumeProjection {
		return corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{Name: name, SignerName: signer, LabelSelector: selector, Optional: &optional, Path: "ca.pem"}}
	}
	live := &metav1.LabelSelector{MatchLabels: map[string]string{"live": "yes"}}
	for what, c := range map[string]struct {
		from corev1.VolumeProjection
		want []string
		err  string
	}{
		"by name":          {source(ptr.To("one"), nil, nil, false), []string{"one"}, ""},
		"all of a signer":  {source(nil, ptr.To(by), &metav1.LabelSelector{}, false), []string{"a", "b"}, ""},
		"some of a signer": {source(nil, ptr.To(by), live, false), []string{"a"}, ""},
		"no selector":      {source(nil, ptr.To(by), nil, true), nil, ""},
		"none, optional":   {source(ptr.To("none"), nil, nil, true), nil, ""},
		"none":             {source(ptr.To("none"), nil, nil, false), nil, `while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io "none" not found`},
		"none of a signer": {source(nil, ptr.To("example.com/none"), live, false), nil, "combination of signerName and labelSelector matched zero ClusterTrustBundles"},
	} {
		p := pod("u1", volumeOf("t", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{c.from}}}))
		paths, err := n.Setup(t.Context(), p)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if err == nil {
			var want string
			for _, text := range c.want {
				want += anchor(text)
			}
			if got := read(t, paths["t"])["ca.pem"]; got != want {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
		if err := n.TearDown(t.Context(), p.UID); err != nil {
			t.Fatal(err)
		}
	}
	// A bundle that comes later is shown at once.
	p := pod("u2", volumeOf("t", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{source(nil, ptr.To(by), &metav1.LabelSelector{}, false)}}}))
	paths, err := n.Setup(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for len(n.watching) > 0 {
		<-n.watching
	}
	soon(t, "the new one is shown", func() bool {
		// Again and again: the watch may begin after the first.
		_ = n.client.Tracker().Add(bundle("example.com:signer:d", by, "d", nil))
		_ = n.client.Tracker().Update(certificatesv1.SchemeGroupVersion.WithResource("clustertrustbundles"), bundle("example.com:signer:d", by, "d", nil), "")
		got, err := look(paths["t"])
		return err == nil && bytes.Contains([]byte(got["ca.pem"]), []byte(anchor("d")))
	})
}
