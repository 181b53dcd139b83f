package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// tree makes files, directories ("d/") and links ("l -> to") below dir.
func tree(t testing.TB, dir string, entries ...string) {
	t.Helper()
	for _, entry := range entries {
		name, to, isLink := strings.Cut(entry, " -> ")
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(to, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSubPath(t *testing.T) {
	outside := t.TempDir()
	tree(t, outside, "secret", "dir/")
	for _, tc := range []struct {
		name    string
		entries []string
		subPath string
		want    string // below the root; empty: refused
		err     string
	}{
		{name: "directory", entries: []string{"a/b/"}, subPath: "a/b", want: "a/b"},
		{name: "file", entries: []string{"a/f"}, subPath: "a/f", want: "a/f"},
		{name: "made", subPath: "x/y", want: "x/y"},
		{name: "the volume itself", subPath: "", want: ""},
		{name: "dot", subPath: "./a/.", want: "a"},
		{name: "link within", entries: []string{"real/", "l -> real"}, subPath: "l", want: "real"},
		{name: "made behind a link within", entries: []string{"real/", "l -> real"}, subPath: "l/new", want: "real/new"},
		{name: "ConfigMap layout", entries: []string{"..1/key", "..data -> ..1", "key -> ..data/key"}, subPath: "key", want: "..1/key"},
		{name: "up and down within", entries: []string{"a/", "b/", "a/l -> ../b"}, subPath: "a/l", want: "b"},
		{name: "absolute", subPath: "/etc", err: "error SubPath `/etc` must not be an absolute path"},
		{name: "dots", subPath: "../x", err: "unable to provision SubPath `../x`: must not contain '..'"},
		{name: "dots inside", subPath: "a/../b", err: "unable to provision SubPath `a/../b`: must not contain '..'"},
		{name: "absolute link", entries: []string{"l -> " + outside}, subPath: "l", err: "refused"},
		{name: "absolute link to a file", entries: []string{"l -> " + outside + "/secret"}, subPath: "l", err: "refused"},
		{name: "made behind an absolute link", entries: []string{"l -> " + outside}, subPath: "l/new", err: "refused"},
		{name: "relative link out", entries: []string{"l -> ../../../../../etc"}, subPath: "l", err: "refused"},
		{name: "link to a link out", entries: []string{"a -> b", "b -> ../.."}, subPath: "a", err: "refused"},
		{name: "dangling link out", entries: []string{"l -> " + outside + "/nothing"}, subPath: "l", err: "refused"},
		{name: "dangling link within", entries: []string{"l -> nothing"}, subPath: "l", err: "refused"},
		{name: "loop", entries: []string{"a -> b", "b -> a"}, subPath: "a", err: "refused"},
		{name: "magic link", entries: []string{"l -> /proc/self/root"}, subPath: "l/etc", err: "refused"},
		{name: "through a file", entries: []string{"f"}, subPath: "f/x", err: "refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "volume")
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			tree(t, root, tc.entries...)
			got, err := SubPath(t.Context(), root, tc.subPath)
			if tc.err != "" {
				if err == nil {
					t.Fatalf("got %s, want it refused", got)
				}
				if tc.err != "refused" && err.Error() != tc.err {
					t.Errorf("got %v, want %s", err, tc.err)
				}
			} else if err != nil || got != filepath.Join(root, tc.want) {
				t.Errorf("got %s, %v, want %s", got, err, filepath.Join(root, tc.want))
			}
			entries, _ := os.ReadDir(outside)
			if len(entries) != 2 {
				t.Errorf("something was made outside: %v", entries)
			}
		})
	}
}

func TestSubPathTakesTheModeOfTheVolume(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o770|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if _, err := SubPath(t.Context(), root, "a/b"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Mode() != os.ModeDir|os.ModeSetgid|0o770 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func mountOf(root, subPath string) Mount {
	return Mount{Pod: "uid-1", Volume: "data", Container: "app", Index: 2, Root: root, SubPath: subPath}
}

func TestSubPathMount(t *testing.T) {
	needsMounts(t)
	v := New(Config{Root: t.TempDir()})
	root := t.TempDir()
	tree(t, root, "a/one", "file")
	dir, err := v.SubPath(t.Context(), mountOf(root, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(v.PodDir("uid-1"), "volume-subpaths", "data", "app", "2"); dir != want {
		t.Errorf("got %s, want %s", dir, want)
	}
	// Later, the container swaps the directory: the mount stays what it was.
	if err := os.Rename(filepath.Join(root, "a"), filepath.Join(root, "b")); err != nil {
		t.Fatal(err)
	}
	tree(t, root, "a -> /etc")
	if _, err := os.Stat(filepath.Join(dir, "one")); err != nil {
		t.Error(err)
	}
	if _, err := v.SubPath(t.Context(), mountOf(root, "a")); err == nil || err.Error() != `failed to prepare subPath for volumeMount "data" of container "app"` {
		t.Errorf("got %v", err)
	}
	// The same again is the same mount; something else replaces it.
	for range 3 {
		if _, err := v.SubPath(t.Context(), mountOf(root, "b")); err != nil {
			t.Fatal(err)
		}
	}
	if points, _ := mountsUnder(dir); len(points) != 1 {
		t.Errorf("mounts: %v", points)
	}
	if _, err := v.SubPath(t.Context(), mountOf(root, "file")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(dir); err != nil || string(data) != "file" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := v.TearDown(t.Context(), "uid-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "b", "one")); err != nil {
		t.Errorf("the volume's own files are gone: %v", err)
	}
	if _, err := v.SubPath(t.Context(), Mount{Pod: "../x", Volume: "v", Container: "c", Root: root}); err == nil {
		t.Error("a UID that leads elsewhere was accepted")
	}
}

// A container that keeps exchanging a directory for a link out never gets
// anything outside mounted, nor anything made there.
func TestSubPathRace(t *testing.T) {
	needsMounts(t)
	v := New(Config{Root: t.TempDir()})
	root, outside := t.TempDir(), t.TempDir()
	tree(t, root, "inside/mark", "d/mark", "link -> "+outside)
	tree(t, outside, "evil")
	ctx, stop := context.WithCancel(t.Context())
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for ctx.Err() == nil {
			_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(root, "d"), unix.AT_FDCWD, filepath.Join(root, "link"), unix.RENAME_EXCHANGE)
		}
	})
	won := 0
	for i := range 400 {
		dir, err := v.SubPath(t.Context(), mountOf(root, []string{"d", "d/new/deep"}[i%2]))
		if err != nil {
			continue
		}
		won++
		if _, err := os.Stat(filepath.Join(dir, "evil")); err == nil {
			t.Fatal("escaped")
		}
	}
	stop()
	swapping.Wait()
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Fatalf("made outside: %v", entries)
	}
	t.Logf("%d of 400 resolved inside, the others were refused", won)
	if err := v.TearDown(t.Context(), types.UID("uid-1")); err != nil {
		t.Error(err)
	}
}

// Any links and any path: the answer lies in the volume, or there is none, and
// nothing is made outside.
func FuzzSubPath(f *testing.F) {
	f.Add("a", "/etc", "a/b")
	f.Add("a", "..", "a/a/a")
	f.Add("a/b", "../../..", "a/b/c")
	f.Add("l", "l", "l/x")
	f.Add("a", ".", "a/a/b/../c")
	f.Add("x", "/proc/self/cwd", "x/y")
	f.Fuzz(func(t *testing.T, name, to, subPath string) {
		base, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		root := filepath.Join(base, "root")
		if err := os.MkdirAll(filepath.Join(root, "a"), 0o755); err != nil {
			t.Fatal(err)
		}
		if filepath.IsLocal(name) {
			_ = os.Symlink(to, filepath.Join(root, name))
		}
		got, err := SubPath(t.Context(), root, subPath)
		if entries, _ := os.ReadDir(base); len(entries) != 1 {
			t.Fatalf("made outside: %v", entries)
		}
		if err == nil && got != root && !strings.HasPrefix(got, root+"/") {
			t.Fatalf("%q -> %q, %q: escaped to %s", name, to, subPath, got)
		}
	})
}

func ExampleSubPath() {
	dir, _ := os.MkdirTemp("", "volume")
	defer os.RemoveAll(dir)
	path, err := SubPath(context.TODO(), dir, "db/main")
	fmt.Println(strings.TrimPrefix(path, dir), err)
	_, err = SubPath(context.TODO(), dir, "../../etc")
	fmt.Println(err)
	// Output:
	// /db/main <nil>
	// unable to provision SubPath `../../etc`: must not contain '..'
}
