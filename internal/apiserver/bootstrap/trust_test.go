package bootstrap

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/pki"
)

// Another authority that is still good stays, one that expired goes.
func TestTrust(t *testing.T) {
	ca := func() []byte {
		t.Helper()
		set, err := pki.Ensure(t.TempDir(), pki.Options{NodeName: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		return set.CA.CertPEM
	}
	first, second := ca(), ca()
	client := fake.NewClientset()
	publish := func(ca []byte, now time.Time) string {
		t.Helper()
		if err := (Trust{ClientCA: ca}).Publish(t.Context(), client, now); err != nil {
			t.Fatal(err)
		}
		m, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Data) != 1 {
			t.Errorf("without a front proxy there are %v", m.Data)
		}
		return m.Data["client-ca-file"]
	}
	now := time.Now()
	publish(first, now)
	writes(client)
	if publish(first, now); len(writes(client)) != 0 {
		t.Error("what has not changed is written")
	}
	if got := publish(second, now); got != string(first)+string(second) {
		t.Errorf("got %s", got)
	}
	if got := publish(second, now.AddDate(100, 0, 0)); strings.TrimSpace(got) != "" {
		t.Errorf("expired authorities stay: %s", got)
	}
}
