package copytree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// piece is how much is copied between two looks whether to stop.
const piece = 4 << 20

// content makes a file that shares its blocks with another, or copies what is
// between its holes.
func content(ctx context.Context, from, to *os.File) error {
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err == nil {
		return nil
	}
	info, err := from.Stat()
	if err != nil {
		return err
	}
	// A file that grows meanwhile is copied as it was.
	size := info.Size()
	if err := to.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		start, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		end := size
		if err == nil {
			end, err = unix.Seek(int(from.Fd()), start, unix.SEEK_HOLE)
		}
		if errors.Is(err, unix.EINVAL) {
			start, end, err = at, size, nil // the file system knows no holes
		}
		if err != nil {
			return err
		}
		if err := stretch(ctx, from, to, start, min(end, size)); err != nil {
			return err
		}
		at = end
	}
	return nil
}

func stretch(ctx context.Context, from, to *os.File, start, end int64) error {
	buf := make([]byte, min(piece, max(end-start, 0)))
	for start < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := room(to); err != nil {
			return err
		}
		n, err := from.ReadAt(buf[:min(int64(len(buf)), end-start)], start)
		if n == 0 {
			if errors.Is(err, io.EOF) {
				return nil // cut off meanwhile
			}
			return err
		}
		if _, err := to.WriteAt(buf[:n], start); err != nil {
			return err
		}
		start += int64(n)
	}
	return nil
}

// room is an error when the file system of the copy has none to give away.
func room(to *os.File) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(to.Fd()), &fs); err != nil {
		return err
	}
	size := uint64(fs.Bsize) //nolint:gosec // never negative
	if keep := reserve(fs.Blocks * size); fs.Bavail*size < piece+keep {
		return fmt.Errorf("%w: a copy leaves %d MiB to all else on the disk", unix.ENOSPC, keep>>20)
	}
	return nil
}

// reserve is what copies leave of a file system. A disk that they filled would stop
// the datastore on it, which finds them half done and the disk full when it comes
// back.
func reserve(size uint64) uint64 { return min(size/20, 256<<20) }

// attributes copies the extended attributes, as far as the file system of the
// copy has any.
func attributes(from, to *os.File) error {
	size, err := unix.Flistxattr(int(from.Fd()), nil)
	if err != nil || size == 0 {
		if errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		return err
	}
	names := make([]byte, size)
	if size, err = unix.Flistxattr(int(from.Fd()), names); err != nil {
		return err
	}
	for name := range bytes.SplitSeq(names[:size], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		if err := attribute(from, to, string(name)); err != nil {
			return err
		}
	}
	return nil
}

func attribute(from, to *os.File, name string) error {
	size, err := unix.Fgetxattr(int(from.Fd()), name, nil)
	if err == nil {
		value := make([]byte, size)
		if size, err = unix.Fgetxattr(int(from.Fd()), name, value); err == nil {
			err = unix.Fsetxattr(int(to.Fd()), name, value[:size], 0)
		}
	}
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return nil // gone meanwhile, or not for us to set (security labels)
	}
	return err
}
