package localvolume

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
)

// A volume whose capacity was raised gets the room, and the control plane hears
// of it; one whose data is missing says so, and is not made anew.
func TestGrow(t *testing.T) {
	dir := t.TempDir()
	growing := func(name string) *corev1.PersistentVolume {
		return deleted(name, filepath.Join(dir, name), func(pv *corev1.PersistentVolume) {
			pv.DeletionTimestamp, pv.Status.Phase = nil, corev1.VolumeBound
			pv.Annotations[volume.LocalGrowing] = "4Ki"
			pv.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
			pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("9000")}
			pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "ns", Name: "of-" + name}
		})
	}
	folder := growing("pvc-folder")
	folder.Spec.VolumeMode = nil
	blocks := filepath.Join(dir, "pvc-blocks", volume.LocalBlocks)
	for _, path := range []string{filepath.Dir(blocks), filepath.Join(dir, "pvc-folder")} {
		if err := os.Mkdir(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(blocks, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "host1"}}},
		growing("pvc-blocks"), folder, growing("pvc-lost"))
	said := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Client: client, NodeName: "n1", Dir: dir, Log: slog.New(slog.DiscardHandler), Event: func(about runtime.Object, kind, reason, message string) {
			said <- about.(*corev1.PersistentVolumeClaim).Name + " " + kind + " " + reason + " " + message
		}})
	}()
	want := `of-pvc-lost Warning VolumeResizeFailed error expanding volume "pvc-lost": ` +
		volume.LocalLost(filepath.Join(dir, "pvc-lost", volume.LocalBlocks)).Error()
	if got := <-said; got != want {
		t.Errorf("says %q\nwant %q", got, want)
	}
	for _, name := range []string{"pvc-blocks", "pvc-folder"} {
		soon(t, name+" to have grown", func() bool {
			pv, err := client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
			return err == nil && !volume.LocalMustGrow(pv)
		})
	}
	if text, err := os.ReadFile(blocks); err != nil || len(text) != 12288 || string(text[:4]) != "data" {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	pv, err := client.CoreV1().PersistentVolumes().Get(ctx, "pvc-lost", metav1.GetOptions{})
	if _, gone := os.Stat(filepath.Join(dir, "pvc-lost")); err != nil || !volume.LocalMustGrow(pv) || !os.IsNotExist(gone) {
		t.Errorf("what is lost: %v, %v", err, gone)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
