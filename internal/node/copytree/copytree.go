// Package copytree copies what lies in a directory: files with their owners,
// rights, times, holes, extended attributes and links. Where the file system can
// share blocks between files, it does, and a copy takes no room.
//
// The source may be in use meanwhile: what vanishes is left out, and nothing is
// reached through a link out of either directory.
package copytree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

type file struct{ device, inode uint64 }

type copier struct {
	from, to *os.Root
	device   uint64
	// linked are the files of several names that were copied, by their first name.
	linked map[file]string
	// made are files and directories of the copy, as long as they are few.
	made []string
	many bool
}

// few is how many files are written to the disk one by one. Of more, the whole
// file system is written at once, with what others have in it.
const few = 1000

// Copy makes to, which must be empty if it is there, a copy of the directory from.
// What was begun stays when it fails.
func Copy(ctx context.Context, from, to string) error {
	source, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := os.Mkdir(to, 0o700); errors.Is(err, fs.ErrExist) {
		if in, readErr := os.ReadDir(to); readErr != nil || len(in) > 0 {
			return err
		}
	} else if err != nil {
		return err
	}
	target, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer target.Close()
	info, err := source.Stat(".")
	if err != nil {
		return err
	}
	c := &copier{from: source, to: target, device: stat(info).Dev, linked: map[file]string{}}
	if err := c.directory(ctx, ".", info); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	// Of what is removed as a whole meanwhile any part may be missing.
	if now, err := os.Stat(from); err != nil || !os.SameFile(info, now) {
		return fmt.Errorf("copy %s: it was removed or replaced meanwhile", from)
	}
	if err := c.sync(); err != nil {
		return fmt.Errorf("copy %s: write it to the disk: %w", from, err)
	}
	return nil
}

// sync makes the copy outlive a loss of power.
func (c *copier) sync() error {
	flush := func(name string, how func(fd int) error) error {
		f, err := c.to.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return how(int(f.Fd()))
	}
	if c.many {
		return flush(".", unix.Syncfs)
	}
	for _, name := range c.made {
		if err := flush(name, unix.Fsync); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) note(name string) {
	if c.many = c.many || len(c.made) == few; c.many {
		c.made = nil
		return
	}
	c.made = append(c.made, name)
}

func stat(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

// directory copies what is in a directory, then what the directory is: its time
// must not be changed any more, and it may be closed to writing.
func (c *copier) directory(ctx context.Context, name string, info fs.FileInfo) error {
	dir, err := c.from.Open(name)
	if err != nil {
		return vanished(err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(few)
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) { // the end, or it was removed
			break
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.entry(ctx, path.Join(name, e.Name())); err != nil && !errors.Is(err, errVanished) {
				return err
			}
		}
	}
	made, err := c.to.Open(name)
	if err != nil {
		return err
	}
	defer made.Close()
	c.note(name)
	return c.finish(name, info, dir, made)
}

func (c *copier) entry(ctx context.Context, name string) error {
	info, err := c.from.Lstat(name)
	if err != nil {
		return vanished(err)
	}
	st := stat(info)
	is := file{st.Dev, st.Ino}
	if first, ok := c.linked[is]; ok && !info.IsDir() {
		return c.to.Link(first, name)
	}
	switch mode := info.Mode(); {
	case st.Dev != c.device:
		return nil // another file system is mounted here
	case mode.IsDir():
		if err := c.to.Mkdir(name, 0o700); err != nil {
			return err
		}
		return c.directory(ctx, name, info)
	case mode.IsRegular():
		err = c.regular(ctx, name, info)
	case mode&fs.ModeSymlink != 0:
		var to string
		if to, err = c.from.Readlink(name); err != nil {
			return vanished(err)
		}
		if err = c.to.Symlink(to, name); err == nil {
			err = c.finish(name, info, nil, nil)
		}
	case mode&fs.ModeSocket != 0:
		return nil // nobody listens to a copy
	default:
		if err = c.node(name, st); err == nil {
			err = c.finish(name, info, nil, nil)
		}
	}
	if err == nil && st.Nlink > 1 {
		c.linked[is] = name
	}
	return err
}

// errVanished says that the source has something no more, which is left out then.
// That something of the copy is missing is an error.
var errVanished = errors.New("vanished")

func vanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errVanished
	}
	return err
}

// node makes a pipe or a device.
func (c *copier) node(name string, st *syscall.Stat_t) error {
	dir, err := c.to.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Mknodat(int(dir.Fd()), path.Base(name), st.Mode, int(st.Rdev)); err != nil {
		return &fs.PathError{Op: "mknod", Path: name, Err: err}
	}
	return nil
}

func (c *copier) regular(ctx context.Context, name string, info fs.FileInfo) error {
	from, err := c.from.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return vanished(err)
	}
	defer from.Close()
	to, err := c.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := content(ctx, from, to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c.note(name)
	if err := c.finish(name, info, from, to); err != nil {
		return err
	}
	return to.Close()
}

// finish gives a copy its owner, rights, attributes (of what can be opened) and
// times, in that order: each of the former changes what comes after it.
func (c *copier) finish(name string, info fs.FileInfo, from, to *os.File) error {
	st := stat(info)
	if err := c.to.Lchown(name, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		if err := c.to.Chmod(name, info.Mode()); err != nil {
			return err
		}
	}
	if from != nil {
		if err := attributes(from, to); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return c.times(name, st)
}

// times sets when a copy was read and changed, of a link those of the link itself.
func (c *copier) times(name string, st *syscall.Stat_t) error {
	dir, err := c.to.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	both := []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
	if err := unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), both, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}
