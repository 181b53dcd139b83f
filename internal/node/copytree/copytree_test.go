package copytree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/node/copytree"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// attributes are those that tell most: what a user noted, what a program may do, and
// who else may use a file, or what is made in a directory.
var attributes = []string{"user.color", "security.capability", "system.posix_acl_access", "system.posix_acl_default"}

// describe is all that a copy must have kept, by path.
func describe(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%v %d:%d links %d", info.Mode(), st.Uid, st.Gid, st.Nlink)
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			must(t, err)
			line += fmt.Sprintf(" %d bytes %x %s", len(text), bytes.TrimRight(text, "\x00"), info.ModTime().UTC())
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			must(t, err)
			line += fmt.Sprintf(" to %s %s", to, info.ModTime().UTC())
		default:
			line += fmt.Sprintf(" %s %d", info.ModTime().UTC(), st.Rdev)
		}
		for _, name := range attributes {
			value := make([]byte, 100)
			if n, err := unix.Lgetxattr(path, name, value); err == nil {
				line += fmt.Sprintf(" %s=%x", name, value[:n])
			}
		}
		rel, _ := filepath.Rel(dir, path)
		out[rel] = line
		return nil
	}))
	return out
}

func TestCopy(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: files belong to others")
	}
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	at := func(name string) string { return filepath.Join(from, name) }
	old := time.Unix(1_000_000_000, 5000)
	must(t, os.MkdirAll(at("dir/deep"), 0o755),
		os.WriteFile(at("dir/file"), []byte("content"), 0o640), os.Chown(at("dir/file"), 7, 8), os.Chtimes(at("dir/file"), old, old),
		os.WriteFile(at("closed"), nil, 0), os.WriteFile(at("root"), []byte("#!"), 0o755), os.Chown(at("root"), 9, 9), os.Chmod(at("root"), 0o755|fs.ModeSetuid),
		os.Link(at("dir/file"), at("second")), os.Symlink("/etc/passwd", at("out")), os.Symlink("nowhere", at("dir/dangling")), os.Lchown(at("out"), 5, 6),
		unix.Mkfifo(at("pipe"), 0o600), unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		os.Mkdir(at("theirs"), 0o700), os.Chown(at("theirs"), 3, 4), os.Chmod(at("theirs"), 0o2750|os.ModeSetgid), os.Chmod(from, 0o1777|os.ModeSticky))
	must(t, os.WriteFile(at("sparse"), []byte("begin"), 0o600), os.Truncate(at("sparse"), 64<<20))
	sparse, err := os.OpenFile(at("sparse"), os.O_WRONLY, 0)
	must(t, err)
	_, err = sparse.WriteAt([]byte("middle"), 32<<20)
	must(t, err, sparse.Close())
	// As far as the file system has them: u::rw- u:7:r-- g::r-- m::r-- o::---, and the right to bind low ports.
	acl := []byte("\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\x07\x00\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x04\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff")
	set := 0
	for _, x := range []struct{ path, name, value string }{
		{"dir/file", "user.color", "blue"},
		{"dir", "user.color", "red"},
		{"dir/file", "system.posix_acl_access", string(acl)},
		{"dir/deep", "system.posix_acl_default", string(acl)},
		{"root", "security.capability", "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	} {
		if unix.Setxattr(at(x.path), x.name, []byte(x.value), 0) == nil {
			set++
		}
	}
	t.Logf("%d attributes are set", set)
	link := []unix.Timespec{{Sec: 1_000_000_001, Nsec: 7}, {Sec: 1_000_000_002, Nsec: 8}}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, at("dir/dangling"), link, unix.AT_SYMLINK_NOFOLLOW))
	listener, err := net.Listen("unix", at("socket"))
	must(t, err)
	defer listener.Close()
	for i := range 1100 { // more than are written one by one
		must(t, os.WriteFile(at(fmt.Sprint("many-", i)), nil, 0o600))
	}
	must(t, os.Chtimes(at("dir"), old, old))

	must(t, copytree.Copy(t.Context(), from, to))
	source := describe(t, from)
	delete(source, "socket") // nobody listens to a copy of it
	if diff := cmp.Diff(source, describe(t, to)); diff != "" {
		t.Errorf("-source +copy:\n%s", diff)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(to, "sparse"), &st))
	if room := st.Blocks * 512; room > 8<<20 {
		t.Errorf("the copy of a file with holes takes %d bytes", room)
	}
	var one, two unix.Stat_t
	must(t, unix.Stat(filepath.Join(to, "second"), &one), unix.Stat(filepath.Join(to, "dir/file"), &two))
	if one.Ino != two.Ino {
		t.Error("two names of one file became two files")
	}
	must(t, copytree.Copy(t.Context(), at("dir"), filepath.Join(to, "again")))
	if diff := cmp.Diff(describe(t, at("dir")), describe(t, filepath.Join(to, "again"))); diff == "" {
		t.Error("a file that has another name outside has one here") // so its count differs
	}
	if err := copytree.Copy(t.Context(), from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over what is there: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := copytree.Copy(stopped, from, to+"2"); !errors.Is(err, context.Canceled) {
		t.Errorf("when stopped: %v", err)
	}
	if err := copytree.Copy(t.Context(), at("nothing"), to+"3"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}

// during does something in the middle of a copy, which asks again and again whether
// to go on.
type during struct {
	context.Context
	asked int
	do    func()
}

func (d *during) Err() error {
	if d.asked++; d.asked == 5 {
		d.do()
	}
	return d.Context.Err()
}

// What goes meanwhile is left out. A source that goes as a whole has left a copy of
// which any part may be missing, and a copy that goes is none.
func TestWhatGoesMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		goes func(from, to string) error
		ends bool
	}{
		"a file":         {func(from, _ string) error { return os.Remove(filepath.Join(from, "deep", "7")) }, true},
		"a directory":    {func(from, _ string) error { return os.RemoveAll(filepath.Join(from, "deep")) }, true},
		"the source":     {func(from, _ string) error { return os.RemoveAll(from) }, false},
		"another source": {func(from, _ string) error { return errors.Join(os.RemoveAll(from), os.Mkdir(from, 0o755)) }, false},
		"the copy":       {func(_, to string) error { return os.RemoveAll(to) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
			must(t, os.MkdirAll(filepath.Join(from, "deep"), 0o755))
			for i := range 20 {
				must(t, os.WriteFile(filepath.Join(from, "deep", fmt.Sprint(i)), []byte("content"), 0o600))
			}
			ctx := &during{Context: t.Context(), do: func() { must(t, c.goes(from, to)) }}
			if err := copytree.Copy(ctx, from, to); (err == nil) != c.ends || ctx.asked < 5 {
				t.Errorf("asked %d times: %v", ctx.asked, err)
			}
		})
	}
}
