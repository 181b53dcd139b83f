package volume

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/node/loopdev"
)

// A provisioned block volume is a device as long as a pod uses it, also when a
// pod's end is only noticed after a restart; what was written stays.
func TestProvisionedBlocks(t *testing.T) {
	if f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0); err != nil {
		t.Skipf("no loop devices here: %v", err)
	} else {
		_ = f.Close()
	}
	dir := t.TempDir()
	pv := unused(localPV("pvc-1", filepath.Join(dir, "pvc-1"), "n1"))
	pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5000")}
	pv.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	n := start(t, func(cfg *Config) { cfg.VolumesDir = dir }, pv, bound("data", "pvc-1"))
	t.Cleanup(func() {
		if err := DetachBlocks(dir); err != nil {
			t.Error(err)
		}
	})
	user := func(uid string) *corev1.Pod {
		p := pod(uid, claimVolume("data"))
		p.Spec.Containers[0].VolumeMounts = nil
		p.Spec.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "www", DevicePath: "/dev/blocks"}}
		return p
	}
	setup := func(uid string) string {
		t.Helper()
		paths, err := n.Setup(t.Context(), user(uid))
		if err != nil {
			t.Fatal(err)
		}
		return paths["www"]
	}
	shows := func(device string) bool {
		text, _ := os.ReadFile("/sys/block/" + filepath.Base(device) + "/loop/backing_file")
		return len(text) > 0 && filepath.Base(filepath.Dir(string(text))) == "pvc-1"
	}
	device := setup("u1")
	if again := setup("u1"); again != device || setup("u2") != device || !shows(device) {
		t.Fatalf("%s, then %s", device, again)
	}
	if err := os.WriteFile(device, []byte("kept"), 0); err != nil {
		t.Fatal(err)
	}
	if err := n.TearDown(t.Context(), "u1"); err != nil || !shows(device) {
		t.Errorf("while another uses it: %v", err)
	}
	if err := n.TearDownOthers(t.Context(), func(types.UID) bool { return false }); err != nil || shows(device) {
		t.Errorf("when nobody uses it any more: %v", err)
	}
	device = setup("u3")
	text, err := os.ReadFile(device)
	if err != nil || string(text[:4]) != "kept" || len(text)%4096 != 0 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	file, err := loopdev.Of(filepath.Join(dir, "pvc-1", blockFile))
	if err != nil {
		t.Fatal(err)
	}
	// Its claim may be gone before the pod is.
	if err := os.RemoveAll(filepath.Join(dir, "pvc-1")); err != nil {
		t.Fatal(err)
	}
	if err := n.TearDown(t.Context(), "u3"); err != nil || shows(device) {
		t.Errorf("without its folder: %v", err)
	}
	if err := loopdev.Detach(file); err != nil {
		t.Error(err)
	}
}
