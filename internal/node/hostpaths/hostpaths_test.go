package hostpaths_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/hostpaths"
)

func newPaths(t *testing.T) hostpaths.Paths {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	root := t.TempDir()
	p := hostpaths.Paths{Dir: datadir.Dir(filepath.Join(root, "var/lib/berth")), Root: root}
	t.Cleanup(func() { _ = unix.Unmount(p.Pods(), unix.MNT_DETACH) })
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// What is in the instance's folders is seen where a kubelet would have it, and
// nothing is left once it is taken away but the instance's own.
func TestProvideAndRemove(t *testing.T) {
	p := newPaths(t)
	for range 2 { // an instance that starts again finds it done
		if err := p.Provide(); err != nil {
			t.Skip(err) // no right to mount here
		}
	}
	write(t, filepath.Join(p.Dir.Kubelet(), "pods/u/file"), "in a pod")
	write(t, filepath.Join(p.Dir.PodLogs(), "ns_pod_u/c/0.log"), "a line")
	if err := os.Symlink(filepath.Join(p.Pods(), "ns_pod_u/c/0.log"), filepath.Join(p.Containers(), "pod_ns_c-1.log")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(p.Root, "var/lib/kubelet/pods/u/file")); got != "in a pod" {
		t.Errorf("in a pod: %q", got)
	}
	if got := read(t, filepath.Join(p.Root, "var/log/containers/pod_ns_c-1.log")); got != "a line" {
		t.Errorf("logged: %q", got)
	}
	for range 2 {
		if err := p.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"var/lib/kubelet", "var/log/pods", "var/log/containers"} {
		if _, err := os.Lstat(filepath.Join(p.Root, path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if got := read(t, filepath.Join(p.Dir.PodLogs(), "ns_pod_u/c/0.log")); got != "a line" {
		t.Errorf("the instance's own: %q", got)
	}
}

// A kubelet that the machine has keeps its folders.
func TestAnothersFoldersStay(t *testing.T) {
	p := newPaths(t)
	kubelet, log := filepath.Join(p.Root, "var/lib/kubelet/config.yaml"), filepath.Join(p.Root, "var/log/pods/other/0.log")
	write(t, kubelet, "another's")
	write(t, log, "another's")
	if err := p.Provide(); err == nil {
		t.Error("nothing is said of it")
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if read(t, kubelet)+read(t, log) != "another'sanother's" {
		t.Error("another kubelet's files were changed")
	}
}
