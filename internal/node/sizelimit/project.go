package sizelimit

import (
	"errors"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/fs.h and linux/quota.h.
const (
	iocGetAttributes = 0x801c581f // struct fsxattr
	iocSetAttributes = 0x401c5820
	flagInherit      = 0x200 // FS_XFLAG_PROJINHERIT

	projects   = 2 // PRJQUOTA
	getQuota   = 0x800007<<8 | projects
	setQuota   = 0x800008<<8 | projects
	withBlocks = 1    // QIF_BLIMITS
	quotaBlock = 1024 // bytes
)

type attributes struct {
	flags, extentSize, extents, project, cowExtentSize uint32
	_                                                  [8]byte
}

type quota struct {
	hard, soft, used              uint64 // of blocks; used is in bytes
	inodesHard, inodesSoft, files uint64
	timeBlocks, timeInodes        uint64
	valid                         uint32
	_                             uint32
}

// Projects of volumes are numbered from here on, away from what people choose by
// hand in /etc/projects.
const (
	firstProject = 1 << 30
	lastProject  = 1<<31 - 1
	tries        = 1000
)

// kernel is what a file system is asked.
type kernel interface {
	attributes(dir *os.File) (attributes, error)
	setAttributes(dir *os.File, a attributes) error
	quota(dir *os.File, project uint32) (quota, error)
	setQuota(dir *os.File, project uint32, q quota) error
}

// limitProject holds a folder to a size. One that has no project gets its own, if
// it is empty: files that are there already would belong to none.
func limitProject(k kernel, dir *os.File, fs string, bytes int64) error {
	has, err := k.attributes(dir)
	if err != nil {
		return notHeld("its file system (%s) has no projects", fs)
	}
	project := has.project
	if _, err := k.quota(dir, max(project, firstProject)); off(err) {
		return notHeld("its file system (%s) is mounted without project quotas: prjquota", fs)
	} else if err != nil && !errors.Is(err, unix.ENOENT) { // nobody has that number
		return os.NewSyscallError("quotactl", err)
	}
	if project == 0 {
		if _, err := dir.Readdirnames(1); !errors.Is(err, io.EOF) {
			return notHeld("it was made when its file system (%s) had no project quotas", fs)
		}
		if project, err = freeProject(k, dir); err != nil {
			return err
		}
		has.project, has.flags = project, has.flags|flagInherit
		if err := k.setAttributes(dir, has); err != nil {
			return notHeld("its file system (%s) gives it no project: %v", fs, err)
		}
	}
	err = k.setQuota(dir, project, quota{hard: uint64(bytes) / quotaBlock, valid: withBlocks})
	return os.NewSyscallError("quotactl", err)
}

// off tells whether a file system has no project quotas now.
func off(err error) bool {
	for _, no := range []error{unix.ESRCH, unix.ENOSYS, unix.EOPNOTSUPP, unix.ENOTTY, unix.EINVAL} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// freeProject is a number that nobody uses, the same for the same name if it can
// be.
func freeProject(k kernel, dir *os.File) (uint32, error) {
	h := fnv.New32a()
	_, _ = io.WriteString(h, filepath.Base(dir.Name()))
	for i := range uint32(tries) {
		project := firstProject + (h.Sum32()+i)%(lastProject-firstProject)
		q, err := k.quota(dir, project)
		if errors.Is(err, unix.ENOENT) || err == nil && q.hard == 0 && q.soft == 0 && q.used == 0 && q.files == 0 {
			return project, nil
		}
		if err != nil {
			return 0, os.NewSyscallError("quotactl", err)
		}
	}
	return 0, notHeld("all projects that it could have are in use")
}

// dropProject takes the limit from a folder's project, so that the number can be
// used again.
func dropProject(k kernel, dir *os.File) {
	if has, err := k.attributes(dir); err == nil && has.project >= firstProject && has.project <= lastProject {
		_ = k.setQuota(dir, has.project, quota{valid: withBlocks})
	}
}

// machine is the kernel of this machine.
type machine struct{}

func (machine) attributes(dir *os.File) (a attributes, err error) {
	err = control(dir, func(fd int) error { return ioctl(fd, iocGetAttributes, unsafe.Pointer(&a)) })
	return a, err
}

func (machine) setAttributes(dir *os.File, a attributes) error {
	return control(dir, func(fd int) error { return ioctl(fd, iocSetAttributes, unsafe.Pointer(&a)) })
}

func (machine) quota(dir *os.File, project uint32) (q quota, err error) {
	err = quotactl(dir, getQuota, project, &q)
	return q, err
}

func (machine) setQuota(dir *os.File, project uint32, q quota) error {
	return quotactl(dir, setQuota, project, &q)
}

// quotactl is quotactl_fd(2), of Linux 5.14.
func quotactl(dir *os.File, command uint32, project uint32, q *quota) error {
	return control(dir, func(fd int) error {
		_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), uintptr(command), uintptr(project), uintptr(unsafe.Pointer(q)), 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

func inode(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
