package sizelimit

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inside = "BERTH_TEST_INSIDE_MOUNTNS"

// TestMain runs the tests again in a mount namespace of their own: what they mount
// goes with it, whatever becomes of them.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:gosec,noctx // it is this program
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		os.Exit(failed.ExitCode())
	} else if err != nil {
		panic(err)
	}
}

func run(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// disk is a file system of its own.
func disk(t *testing.T, kind string) string {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("mounts need root")
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(512<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs."+kind, "-q", image)
	run(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// write writes so many bytes that they cannot be made smaller, to the disk.
func write(path string, size int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Repeat([]byte{1}, size))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func TestBtrfs(t *testing.T) {
	dir := disk(t, "btrfs")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	why := func(path string, size int64) string {
		t.Helper()
		err, not := Set(path, size), (*NotHeld)(nil)
		if !errors.As(err, &not) {
			t.Fatalf("%v", err)
		}
		return not.Why
	}
	old := filepath.Join(dir, "old")
	must(Mkdir(old))
	if got := why(old, 1<<20); !strings.Contains(got, "it was made when") {
		t.Error(got)
	}
	run(t, "btrfs", "quota", "enable", dir)

	one := filepath.Join(dir, "one")
	must(Mkdir(one))
	if info, err := os.Stat(one); err != nil || inode(info) != subvolumeRoot || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v %v", info, err)
	}
	if err := Mkdir(one); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
	must(Set(one, 32<<20))
	must(write(filepath.Join(one, "f"), 16<<20))
	if err := write(filepath.Join(one, "f"), 64<<20); !errors.Is(err, unix.EDQUOT) {
		t.Errorf("more than its size: %v", err)
	}
	must(write(filepath.Join(old, "f"), 64<<20)) // the others may
	must(Set(one, 200<<20))
	must(write(filepath.Join(one, "f"), 64<<20))
	must(os.Rename(one, one+"2"))
	Drop(one + "2")
	must(os.RemoveAll(one + "2"))
	if why := why(old, 1<<20); !strings.Contains(why, "it was made when") {
		t.Error(why)
	}
}

func TestWithoutQuotas(t *testing.T) {
	dir := disk(t, "ext4")
	path := filepath.Join(dir, "one")
	if err := Mkdir(path); err != nil {
		t.Fatal(err)
	}
	not := (*NotHeld)(nil)
	if err := Set(path, 1<<20); !errors.As(err, &not) || !strings.Contains(not.Why, "its file system (ext4)") {
		t.Errorf("%v", err)
	}
	Drop(path)
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
	if err := Mkdir(filepath.Join(dir, "no", "parent")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
