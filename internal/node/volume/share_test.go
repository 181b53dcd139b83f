package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"

	planvolume "berth.dev/berth/internal/plan/volume"
)

// The first pod of a provisioned NFS volume makes its directory on the server,
// through a mount that is gone afterwards; no other pod ever does.
func TestNFSBegins(t *testing.T) {
	needsMounts(t)
	served, bin := t.TempDir(), t.TempDir()
	asked := filepath.Join(bin, "asked")
	script := "#!/bin/sh\necho \"$1 $4\" >> " + asked + "\n[ -d " + served + "${1#*:/share} ] || { echo no such directory; exit 32; }\nexec mount --bind " + served + "${1#*:/share} \"$2\"\n"
	if err := os.WriteFile(filepath.Join(bin, "mount.nfs"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	n := start(t, nil)
	pv := unused(localPV("pvc-1", "", "n1"))
	pv.Annotations[volume.AnnDynamicallyProvisioned] = planvolume.NFSProvisioner
	pv.Spec.Local, pv.Spec.NodeAffinity, pv.Spec.MountOptions = nil, nil, []string{"hard", "nfsvers=4.2"}
	pv.Spec.NFS = &corev1.NFSVolumeSource{Server: "s", Path: "/share/pvc-1"}
	if err := errors.Join(n.client.Tracker().Add(pv), n.client.Tracker().Add(bound("f", "pvc-1"))); err != nil {
		t.Fatal(err)
	}
	paths, err := n.Setup(t.Context(), pod("u1", claimVolume("f")))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(paths["www"], "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, filepath.Join(served, "pvc-1"), os.ModeDir|0o777, 0, 0)
	text, _ := os.ReadFile(asked)
	if want := "s:/share nfsvers=4.2,soft\ns:/share/pvc-1 hard,nfsvers=4.2\n"; string(text) != want {
		t.Errorf("asked for %q, want %q", text, want)
	}
	if left, err := os.ReadDir(n.sharesDir()); err != nil || len(left) > 0 {
		t.Errorf("left of the first mount: %v %v", left, err)
	}
	if err := n.TearDown(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(served, "pvc-1", "file")); err != nil {
		t.Errorf("the end of a pod: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(served, "pvc-1")); err != nil {
		t.Fatal(err)
	}
	_, err = n.Setup(t.Context(), pod("u2", claimVolume("f")))
	if err == nil || !strings.Contains(err.Error(), `MountVolume.SetUp failed for volume "pvc-1" : mount failed: `) {
		t.Errorf("without its directory: %v", err)
	}
	// What a crash leaves is taken away by the next start.
	root := filepath.Join(n.sharesDir(), "pvc-1-left")
	if err := errors.Join(os.MkdirAll(root, 0o700), runHelper(t.Context(), "nfs", "s:/share", root, nil)); err != nil {
		t.Fatal(err)
	}
	n.dropShares()
	if left, err := os.ReadDir(n.sharesDir()); err != nil || len(left) > 0 {
		t.Errorf("left by a crash: %v %v", left, err)
	}
}
