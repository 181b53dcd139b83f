package localvolume

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	volumehelper "k8s.io/component-helpers/storage/volume"

	"berth.dev/berth/internal/plan/volume"
)

// What lies on a server is removed by the node that was asked to, when the server
// answers, and nothing beside it.
func TestRemoveShared(t *testing.T) {
	served := t.TempDir()
	onServer := func(name, keeper string) *corev1.PersistentVolume {
		if err := os.MkdirAll(filepath.Join(served, name, "deep"), 0o777); err != nil {
			t.Fatal(err)
		}
		return deleted(name, "", func(pv *corev1.PersistentVolume) {
			pv.Finalizers, pv.Spec.Local, pv.Spec.NodeAffinity = []string{volume.NFSFinalizer}, nil, nil
			pv.Annotations = map[string]string{volumehelper.AnnDynamicallyProvisioned: volume.NFSProvisioner, volume.NFSKeeper: keeper}
			pv.Spec.NFS = &corev1.NFSVolumeSource{Server: "s", Path: "/share/" + name}
		})
	}
	client := fake.NewClientset(onServer("pvc-1", "n1"), onServer("pvc-2", "n2"))
	said, tries := make(chan string, 10), 0
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			Client: client, NodeName: "n1", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
			Share: func(_ context.Context, _ *corev1.PersistentVolume, do func(root, name string) error) error {
				if tries++; tries == 1 {
					return errors.New("mount failed: it does not answer")
				}
				return do(served, "pvc-1")
			},
			Event: func(_ runtime.Object, kind, reason, message string) { said <- kind + " " + reason + " " + message },
		})
	}()
	if got := <-said; got != "Warning VolumeFailedDelete remove the directory of volume pvc-1 from its server: mount failed: it does not answer" {
		t.Errorf("says %s", got)
	}
	soon(t, "the volume to go", func() bool {
		pv, err := client.CoreV1().PersistentVolumes().Get(ctx, "pvc-1", metav1.GetOptions{})
		return err == nil && len(pv.Finalizers) == 0
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(served)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "pvc-2" || err != nil {
		t.Errorf("left on the server: %s %v", got, err)
	}
}
