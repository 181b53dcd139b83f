package volume

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountTmpfs mounts memory at path; size 0 leaves the kernel's default of half
// the machine. Kernels from 6.4 on are asked never to swap it out.
func mountTmpfs(path string, size int64) error {
	options := "mode=1777"
	if size > 0 {
		options += ",size=" + strconv.FormatInt(size, 10)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV
	err := unix.Mount("tmpfs", path, "tmpfs", 0, options+",noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("tmpfs", path, "tmpfs", 0, options)
	}
	if errors.Is(err, unix.EPERM) {
		// A user namespace may only mount with fewer rights.
		err = unix.Mount("tmpfs", path, "tmpfs", flags, options)
	}
	if err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", path, err)
	}
	return nil
}

func mountHugePages(path string, pageSize int64) error {
	options := "pagesize=" + strconv.FormatInt(pageSize, 10)
	if err := unix.Mount("nodev", path, "hugetlbfs", 0, options); err != nil {
		return fmt.Errorf("mount hugetlbfs (%s) on %s: %w", options, path, err)
	}
	return nil
}

// isMountPoint tells whether path is the root of a mount. A bind mount within
// one file system has its parent's device number, so the kernel is asked, but
// no server of a file system: it may be away.
func isMountPoint(path string) bool {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		return false
	}
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	points, err := mountsUnder(path)
	return err == nil && len(points) > 0 && points[0] == filepath.Clean(path)
}

// mountsUnder returns the mount points at or below dir, parents first, one
// entry for each mount of a stack.
func mountsUnder(dir string) ([]string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	return parseMountInfo(info, dir), nil
}

func parseMountInfo(info []byte, dir string) []string {
	var points []string
	lines := bufio.NewScanner(bytes.NewReader(info))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		// The kernel marks a mount point whose directory was removed.
		point := unescape(fields[4])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	return points
}

// unescape undoes mountinfo's octal escapes for blanks, tabs, newlines and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unmountUnder takes away every mount at or below dir, children first. A mount
// in use is detached: it leaves the tree now and ends with its last user.
func unmountUnder(dir string) error {
	const rounds = 10 // mounts may appear while we unmount, but not for ever
	var failed error
	for range rounds {
		points, err := mountsUnder(dir)
		if err != nil {
			return err
		}
		if len(points) == 0 {
			return nil
		}
		failed = nil
		for i := len(points) - 1; i >= 0; i-- {
			if err := unmount(points[i]); err != nil {
				failed = errors.Join(failed, err)
			}
		}
	}
	if failed == nil {
		failed = fmt.Errorf("something keeps mounting below %s", dir)
	}
	return failed
}

func unmount(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(point, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", point, err)
	}
	return nil
}
