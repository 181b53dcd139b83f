package localvolume

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	volumehelper "k8s.io/component-helpers/storage/volume"

	"berth.dev/berth/internal/plan/volume"
)

func deleted(name, path string, more ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	now := metav1.Now()
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, DeletionTimestamp: &now, Finalizers: []string{volume.LocalFinalizer},
			Annotations: map[string]string{volumehelper.AnnDynamicallyProvisioned: volume.LocalProvisioner},
		},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"host1"}}},
			}}}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased},
	}
	for _, f := range more {
		f(pv)
	}
	return pv
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestRun(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	file := func(parts ...string) string {
		path := filepath.Join(parts...)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file(dir, "pvc-go", "deep", "data")
	if err := os.Symlink(outside, filepath.Join(dir, "pvc-go", "link")); err != nil {
		t.Fatal(err)
	}
	kept := []string{
		file(outside, "data"),
		file(dir, "pvc-kept", "data"),
		file(dir, "pvc-other", "data"),
		file(dir, "pvc-bound", "data"),
		file(dir, "pvc-moved", "data"),
	}
	if err := os.Symlink(outside, filepath.Join(dir, "pvc-link")); err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "host1"}}},
		deleted("pvc-go", filepath.Join(dir, "pvc-go")),
		deleted("pvc-kept", filepath.Join(dir, "pvc-kept"), func(pv *corev1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}),
		deleted("pvc-other", filepath.Join(dir, "pvc-other"), func(pv *corev1.PersistentVolume) {
			pv.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0] = "host2"
		}),
		deleted("pvc-bound", filepath.Join(dir, "pvc-bound"), func(pv *corev1.PersistentVolume) { pv.Status.Phase = corev1.VolumeBound }),
		deleted("pvc-moved", "/somewhere/else/pvc-moved"),
		deleted("pvc-link", filepath.Join(dir, "pvc-link")),
		deleted("pvc-never", filepath.Join(dir, "pvc-never")),
	)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Client: client, NodeName: "n1", Dir: dir, Log: slog.New(slog.DiscardHandler)})
	}()

	finalizers := func(name string) int {
		pv, err := client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return 0
		}
		return len(pv.Finalizers)
	}
	soon(t, "the finalizers to go", func() bool {
		return finalizers("pvc-go")+finalizers("pvc-kept")+finalizers("pvc-moved")+finalizers("pvc-never") == 0
	})
	if _, err := os.Lstat(filepath.Join(dir, "pvc-go")); !os.IsNotExist(err) {
		t.Error("the deleted volume's directory is still there")
	}
	for _, path := range kept {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("removed what was not to be removed: %v", err)
		}
	}
	for _, name := range []string{"pvc-other", "pvc-bound", "pvc-link"} {
		if finalizers(name) != 1 {
			t.Errorf("%s lost its finalizer", name)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What is mounted in a volume's folder belongs to somebody else, and the user of
// the volume hears why it does not go.
func TestWhatIsMountedInAVolumeStays(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	point := filepath.Join(dir, "pvc-go", "their disk")
	if err := os.MkdirAll(point, 0o777); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(other, "data")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(other, point, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	unmount := sync.OnceFunc(func() {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(unmount)
	client := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "host1"}}},
		deleted("pvc-go", filepath.Join(dir, "pvc-go")),
	)
	said := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			Client: client, NodeName: "n1", Dir: dir, Log: slog.New(slog.DiscardHandler),
			Event: func(_ runtime.Object, kind, reason, message string) { said <- kind + " " + reason + " " + message },
		})
	}()
	want := "Warning VolumeFailedDelete remove the directory of volume pvc-go: a file system is mounted on " + point +
		", and what is on it is not the volume's; unmount it and the volume will go"
	if got := <-said; got != want {
		t.Errorf("says %s", got)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	unmount()
	soon(t, "the volume to go", func() bool {
		pv, err := client.CoreV1().PersistentVolumes().Get(ctx, "pvc-go", metav1.GetOptions{})
		return err == nil && len(pv.Finalizers) == 0
	})
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
