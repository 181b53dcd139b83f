package volume

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

func TestTearDown(t *testing.T) {
	needsMounts(t)
	v := New(Config{Root: t.TempDir()})
	precious := t.TempDir()
	tree(t, precious, "data/file")
	dir := v.PodDir("u1")
	tree(t, dir, "volumes/a/b c\td/", "volumes/tmpfs/", "volumes/bind/", "link -> "+precious, "volumes/deep/er/file")
	bind := func(from, to string) {
		t.Helper()
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	bind(precious, filepath.Join(dir, "volumes/bind"))
	bind(precious, filepath.Join(dir, "volumes/bind")) // stacked
	bind(precious, filepath.Join(dir, "volumes/a/b c\td"))
	if err := mountTmpfs(filepath.Join(dir, "volumes/tmpfs"), 1<<20); err != nil {
		t.Fatal(err)
	}
	tree(t, dir, "volumes/tmpfs/inner/")
	bind(precious, filepath.Join(dir, "volumes/tmpfs/inner"))
	// A file held open keeps the mount busy.
	busy, err := os.Create(filepath.Join(dir, "volumes/tmpfs/busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := v.TearDown(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(precious, "data/file")); err != nil || string(data) != "data/file" {
		t.Errorf("deleted through a mount or a link: %v", err)
	}
	if _, err := busy.WriteString("still works"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := v.TearDown(t.Context(), "u1"); err != nil {
			t.Errorf("again: %v", err)
		}
	}
	if err := v.TearDown(t.Context(), "../pods"); err == nil {
		t.Error("a UID that leads elsewhere was accepted")
	}
}

// What is mounted while the tree is being removed is left alone, and the call fails.
func TestRemoveStopsAtAMount(t *testing.T) {
	needsMounts(t)
	base, precious := t.TempDir(), t.TempDir()
	tree(t, precious, "file")
	tree(t, base, "pod/volumes/late/")
	late := filepath.Join(base, "pod/volumes/late")
	if err := unix.Mount(precious, late, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	parent, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(parent)
	if err := removeAt(t.Context(), parent, "pod", filepath.Join(base, "pod")); err == nil || !strings.Contains(err.Error(), "something is mounted here") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(precious, "file")); err != nil {
		t.Fatal("deleted through a mount")
	}
	if err := removeTree(t.Context(), filepath.Join(base, "pod")); err != nil {
		t.Error(err)
	}
}

// Killed in the middle, the next call goes on.
func TestTearDownInterrupted(t *testing.T) {
	v := New(Config{Root: t.TempDir()})
	for i := range 200 {
		tree(t, v.PodDir("u1"), filepath.Join("volumes", string(rune('a'+i%26)), strings.Repeat("x", i+1)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.TearDown(ctx, "u1"); err == nil {
		t.Fatal("want an error")
	}
	if uids, err := v.Pods(); err != nil || len(uids) != 1 || uids[0] != "u1" {
		t.Error(uids, err)
	}
	if err := v.TearDown(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if uids, err := v.Pods(); err != nil || len(uids) != 0 {
		t.Error(uids, err)
	}
}

func TestTearDownOthers(t *testing.T) {
	v := New(Config{Root: t.TempDir()})
	if err := v.TearDownOthers(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, uid := range []types.UID{"a", "b", "c"} {
		tree(t, v.PodDir(uid), "volumes/x")
	}
	if err := v.TearDownOthers(t.Context(), func(uid types.UID) bool { return uid == "b" }); err != nil {
		t.Error(err)
	}
	if uids, _ := v.Pods(); len(uids) != 1 || uids[0] != "b" {
		t.Error(uids)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{`/a\040b\011c`: "/a b\tc", `/plain`: "/plain", `/back\134slash`: `/back\slash`, `/odd\9`: `/odd\9`, `/end\04`: `/end\04`} {
		if got := unescape(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
