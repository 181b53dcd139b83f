// Package sizelimit holds folders to their sizes where the file system can:
// Btrfs by the quota group of a subvolume, ext4 and XFS by a project quota. Both
// are the machine's to switch on; nothing here does.
package sizelimit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// NotHeld is why a folder may grow beyond its size: a fact about the machine, and
// not a failure.
type NotHeld struct{ Why string }

func (e *NotHeld) Error() string { return e.Why }

func notHeld(format string, a ...any) error { return &NotHeld{fmt.Sprintf(format, a...)} }

// Mkdir makes an empty folder, of mode 0700, that Set can hold to a size, if there
// can be such a one.
func Mkdir(path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	fs, err := fileSystem(parent)
	if err != nil {
		return err
	}
	if fs != unix.BTRFS_SUPER_MAGIC {
		return os.Mkdir(path, 0o700)
	}
	switch err := makeSubvolume(parent, filepath.Base(path)); {
	case errors.Is(err, unix.EEXIST):
		return &os.PathError{Op: "mkdir", Path: path, Err: err}
	case err != nil:
		return os.Mkdir(path, 0o700)
	}
	// A subvolume looks like another file system to programs. It is made only
	// where it is of use.
	if err := Set(path, None); err != nil {
		return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
	}
	return os.Chmod(path, 0o700)
}

// None is a size that nobody exceeds.
const None = -1

// Set holds what is in a folder to so many bytes from now on; what is there
// already stays. When that cannot be the error is a *NotHeld.
func Set(path string, bytes int64) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	switch fs, err := fileSystem(dir); {
	case err != nil:
		return err
	case fs == unix.BTRFS_SUPER_MAGIC:
		return limitSubvolume(dir, bytes)
	case fs == unix.EXT4_SUPER_MAGIC:
		return limitProject(machine{}, dir, "ext4", bytes)
	case fs == unix.XFS_SUPER_MAGIC:
		return limitProject(machine{}, dir, "XFS", bytes)
	}
	return notHeld("its file system has no limits for folders")
}

// Drop forgets the limit of a folder that is about to be removed: it could be in
// the way of that.
func Drop(path string) {
	dir, err := os.Open(path)
	if err != nil {
		return
	}
	defer dir.Close()
	switch fs, err := fileSystem(dir); {
	case err != nil:
	case fs == unix.BTRFS_SUPER_MAGIC:
		_ = limitSubvolume(dir, None)
	case fs == unix.EXT4_SUPER_MAGIC || fs == unix.XFS_SUPER_MAGIC:
		dropProject(machine{}, dir)
	}
}

func fileSystem(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := control(f, func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: f.Name(), Err: err}
	}
	return st.Type, nil
}

// control does something with an open folder.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}
