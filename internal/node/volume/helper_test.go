package volume

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

func TestListsFileSystem(t *testing.T) {
	const text = "nodev\tsysfs\nnodev\tnfsd\n\text4\nnodev\tnfs4\n"
	for name, want := range map[string]bool{"nfs": true, "ext": true, "sysfs": true, "cifs": false, "fs": false} {
		if got := listsFileSystem([]byte(text), name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if listsFileSystem([]byte("nodev\tnfsd\n"), "nfs") {
		t.Error("a server's file system is not the client's")
	}
}

func TestMountOptions(t *testing.T) {
	flags, data := mountOptions([]string{"ro", "discard", "noatime", "commit=5", "defaults"})
	if flags != unix.MS_RDONLY|unix.MS_NOATIME || data != "discard,commit=5" {
		t.Errorf("%x %q", flags, data)
	}
}

func TestHelperSaysWhatFailed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	err := runHelper(t.Context(), "berthtest", "server:/x", dir, nil)
	if err == nil || !strings.Contains(err.Error(), "this node has no mount.berthtest") {
		t.Errorf("without a helper: %v", err)
	}
	script := "#!/bin/sh\necho \"$@\"\nexit 32\n"
	for _, name := range []string{"berthtest", "ext"} { // ext4 or ext2 is known to every kernel that runs us
		if err := os.WriteFile(filepath.Join(dir, "mount."+name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err = runHelper(t.Context(), "berthtest", "server:/x", dir, []string{"ro"})
	if err == nil || err.Error() != "mount failed: this node's kernel has no BERTHTEST client (berthtest is not in /proc/filesystems): load its module or run the pod on another node" {
		t.Errorf("an unknown file system: %v", err)
	}
	if !knowsFileSystem("ext") {
		t.Skip("no ext file system here")
	}
	err = runHelper(t.Context(), "ext", "server:/x", "/nowhere", []string{"ro", "hard"})
	want := "mount failed: exit status 32\nMounting command: " + dir + "/mount.ext\nMounting arguments: server:/x /nowhere -o ro,hard\nOutput: server:/x /nowhere -o ro,hard"
	if err == nil || err.Error() != want {
		t.Errorf("a known one: %v", err)
	}
}

func TestBlockVolumeMustBeADevice(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	pv := &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{VolumeMode: &block}}
	pv.Name, pv.Spec.Local = "pv", &corev1.LocalVolumeSource{Path: "/dev/null"}
	info, err := os.Stat(pv.Spec.Local.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := device(pv, info); err == nil || err.Error() != `MapVolume.MapPodDevice failed for volume "pv" : path "/dev/null" is not a block device` {
		t.Error(err)
	}
}
