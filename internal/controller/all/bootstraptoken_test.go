package all_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/sim"
)

func bootstrapToken(id, expiration string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-" + id}, Type: "bootstrap.kubernetes.io/token",
		Data: map[string][]byte{
			"token-id": []byte(id), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-signing": []byte("true"), "expiration": []byte(expiration),
		},
	}
}

// A token lives until its end on the virtual clock, through faults and
// restarts; cluster-info is signed with it as long.
func TestBootstrapTokenEnds(t *testing.T) {
	for seed := range uint64(5) {
		var end time.Time
		there := func(s *sim.Sim) error {
			return s.API().Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "bootstrap-token-bbbbbb"}, &corev1.Secret{})
		}
		s := cluster(t, seed, sim.AllFaults, func(s *sim.Sim) error {
			if s.Now().Before(end) {
				return there(s)
			}
			return nil
		})
		end = s.Now().Add(time.Hour)
		secrets := []*corev1.Secret{bootstrapToken("aaaaaa", ""), bootstrapToken("bbbbbb", end.Format(time.RFC3339Nano))}
		s.Create(
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}},
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-public"}},
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "x"}},
			secrets[0], secrets[1],
		)
		signed := func(id string) bool {
			info := &corev1.ConfigMap{}
			must(t, s.API().Get(t.Context(), client.ObjectKey{Namespace: "kube-public", Name: "cluster-info"}, info))
			return info.Data["jws-kubeconfig-"+id] != ""
		}
		must(t, s.Run(500))
		must(t, s.Settle(40000))
		if err := there(s); !apierrors.IsNotFound(err) || s.Now().Before(end) || !signed("aaaaaa") || signed("bbbbbb") {
			t.Errorf("seed %d: %s before the end of b: %v, signed with a %v, with b %v", seed, end.Sub(s.Now()), err, signed("aaaaaa"), signed("bbbbbb"))
		}
	}
}

// TestBootstrapTokens is the same with upstream's rights, on the real API server.
func TestBootstrapTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	c := alltest.Start(t, alltest.Options{})
	ctx := t.Context()
	secrets, infos := c.Client.CoreV1().Secrets("kube-system"), c.Client.CoreV1().ConfigMaps("kube-public")
	_, err := secrets.Create(ctx, bootstrapToken("aaaaaa", ""), metav1.CreateOptions{})
	must(t, err)
	_, err = infos.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "x"}}, metav1.CreateOptions{})
	must(t, err)
	signature := func() string {
		info, err := infos.Get(ctx, "cluster-info", metav1.GetOptions{})
		must(t, err)
		return info.Data["jws-kubeconfig-aaaaaa"]
	}
	awaitFor(t, "a signature", func(context.Context) bool { return signature() != "" })
	before := signature()
	_, err = infos.Patch(ctx, "cluster-info", types.MergePatchType, []byte(`{"data":{"kubeconfig":"y"}}`), metav1.PatchOptions{})
	must(t, err)
	awaitFor(t, "another signature", func(context.Context) bool { return signature() != "" && signature() != before })
	_, err = secrets.Patch(ctx, "bootstrap-token-aaaaaa", types.MergePatchType, []byte(`{"stringData":{"expiration":"2020-01-01T00:00:00Z"}}`), metav1.PatchOptions{})
	must(t, err)
	awaitFor(t, "the token deleted", func(ctx context.Context) bool {
		_, err := secrets.Get(ctx, "bootstrap-token-aaaaaa", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	awaitFor(t, "the signature gone", func(context.Context) bool { return signature() == "" })
}
