package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
)

// A volume begins once. When what it was is missing later, no pod gets an empty
// one in its place, whatever was restarted or repeated in between.
func TestVolumeBeginsOnce(t *testing.T) {
	var down bool
	n := start(t, func(cfg *Config) {
		write := cfg.Begun
		cfg.Begun = func(ctx context.Context, pv *corev1.PersistentVolume) error {
			if down {
				return errors.New("the API server is away")
			}
			return write(ctx, pv)
		}
	})
	folder, blocks := filepath.Join(n.cfg.VolumesDir, "pvc-f"), filepath.Join(n.cfg.VolumesDir, "pvc-b", blockFile)
	files, device := unused(localPV("pvc-f", folder, "n1")), unused(localPV("pvc-b", filepath.Dir(blocks), "n1"))
	device.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	device.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("4096")}
	for _, pv := range []*corev1.PersistentVolume{files, device} {
		if err := n.client.Tracker().Add(pv); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.client.Tracker().Add(bound("f", "pvc-f")); err != nil {
		t.Fatal(err)
	}
	setup := func(uid types.UID) error {
		_, err := n.Setup(t.Context(), pod(string(uid), claimVolume("f")))
		return err
	}
	down = true
	if err := setup("u1"); err == nil || !strings.Contains(err.Error(), "write down that volume pvc-f is in use: the API server is away") {
		t.Fatalf("nobody knows that it is used: %v", err)
	}
	down = false
	if err := setup("u1"); err != nil {
		t.Fatal(err)
	}
	got, err := n.client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-f", metav1.GetOptions{})
	if err != nil || volume.LocalMayBeginEmpty(got) {
		t.Fatalf("may begin again: %v %v", got.Annotations, err)
	}
	away := folder + ".away"
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	want := `MountVolume.NewMounter initialization failed for volume "pvc-f" : ` + volume.LocalLost(folder).Error()
	for _, uid := range []types.UID{"u1", "u2"} {
		if err := setup(uid); err == nil || err.Error() != want {
			t.Errorf("%s without its folder: %v\nwant %s", uid, err, want)
		}
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("made again: %v", err)
	}
	if err := os.Rename(away, folder); err != nil {
		t.Fatal(err)
	}
	if err := setup("u2"); err != nil {
		t.Errorf("when it is back: %v", err)
	}

	// The same of a file of blocks, its folder alone is no volume.
	if err := n.begin(t.Context(), device, blocks, func() error { return makeBlocks(device, blocks) }); err != nil {
		t.Fatal(err)
	}
	delete(device.Annotations, volume.LocalBegin)
	if err := os.Remove(blocks); err != nil {
		t.Fatal(err)
	}
	err = n.begin(t.Context(), device, blocks, func() error { t.Error("made again"); return nil })
	if err == nil || !strings.Contains(err.Error(), volume.LocalLost(blocks).Error()) {
		t.Errorf("without its blocks: %v", err)
	}
}

// A volume for one pod only is kept from a second, also after a restart, until
// the first is gone; then the second is told at once.
func TestOnePodOnly(t *testing.T) {
	n := start(t, nil)
	once := unused(localPV("pvc-1", filepath.Join(n.cfg.VolumesDir, "pvc-1"), "n1"))
	once.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	for _, err := range []error{n.client.Tracker().Add(once), n.client.Tracker().Add(bound("f", "pvc-1"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	setup := func(uid string) error {
		_, err := n.Setup(t.Context(), pod(uid, claimVolume("f")))
		return err
	}
	if err := errors.Join(setup("u1"), setup("u1")); err != nil {
		t.Fatal(err)
	}
	const want = `MountVolume.SetUp failed for volume "pvc-1" : volume uses the ReadWriteOncePod access mode and is already in use by another pod`
	if err := setup("u2"); err == nil || err.Error() != want {
		t.Errorf("beside another: %v", err)
	}
	n.mu.Lock()
	n.pods = map[types.UID]*podState{} // what a restart forgets
	n.mu.Unlock()
	if err := setup("u2"); err == nil || err.Error() != want {
		t.Errorf("after a restart: %v", err)
	}
	if err := n.TearDown(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if uid := <-n.changes; uid != "u2" {
		t.Errorf("%s was told", uid)
	}
	if err := setup("u2"); err != nil {
		t.Errorf("alone: %v", err)
	}
}
