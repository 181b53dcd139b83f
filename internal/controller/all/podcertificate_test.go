package all_test

import (
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/controller/trustbundle"
	"berth.dev/berth/internal/sim"
)

// A pod's certificate request is there for a quarter of an hour, through faults
// and restarts, and then no more.
func TestPodCertificateRequestEnds(t *testing.T) {
	for seed := range uint64(5) {
		var begun time.Time
		there := func(s *sim.Sim) error {
			return s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "req"}, &certificatesv1.PodCertificateRequest{})
		}
		s := cluster(t, seed, sim.AllFaults, func(s *sim.Sim) error {
			if !begun.IsZero() && s.Now().Before(begun.Add(15*time.Minute)) {
				return there(s)
			}
			return nil
		})
		s.Create(&certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "req"}})
		begun = s.Now().Truncate(time.Second)
		must(t, s.Run(500))
		must(t, s.Settle(40000))
		if err := there(s); !apierrors.IsNotFound(err) {
			t.Errorf("seed %d, %s after it was made: %v", seed, s.Now().Sub(begun), err)
		}
	}
}

// TestTrustBundle is on the real API server, with upstream's rights: what vouches
// for it is published, comes back when it was deleted, and is the only one.
func TestTrustBundle(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	y := &yard{alltest.Start(t, alltest.Options{}), t, t.Context()}
	bundles := y.Client.CertificatesV1().ClusterTrustBundles()
	published := func() {
		t.Helper()
		y.until("the bundle is there alone", func() string {
			list, err := bundles.List(y.ctx, metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			if len(list.Items) != 1 {
				return "there are not one but several or none"
			}
			b := &list.Items[0]
			if b.Name != trustbundle.Name([]byte(b.Spec.TrustBundle)) || b.Spec.SignerName != "kubernetes.io/kube-apiserver-serving" {
				return b.Name + " of " + b.Spec.SignerName
			}
			return ""
		})
	}
	published()
	list, err := bundles.List(y.ctx, metav1.ListOptions{})
	must(t, err)
	former := &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes.io:kube-apiserver-serving:former"}, Spec: list.Items[0].Spec}
	must(t, bundles.Delete(y.ctx, list.Items[0].Name, metav1.DeleteOptions{}))
	must(t, y.errOf(bundles.Create(y.ctx, former, metav1.CreateOptions{})))
	published()
}
