package sizelimit

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/btrfs.h.
const (
	iocSubvolCreate  = 0x5000940e // struct btrfs_ioctl_vol_args
	iocQgroupLimit   = 0x8030942b // struct btrfs_ioctl_qgroup_limit_args
	limitMaxRfer     = 1
	subvolumeRoot    = 256 // the inode of every subvolume's first folder
	longestSubvolume = 4087
)

type volArgs struct {
	fd   int64
	name [longestSubvolume + 1]byte
}

type qgroupLimitArgs struct {
	qgroup                                    uint64 // 0: of the subvolume that the ioctl is made on
	flags, maxRfer, maxExcl, rsvRfer, rsvExcl uint64
}

func makeSubvolume(parent *os.File, name string) error {
	if len(name) > longestSubvolume {
		return unix.ENAMETOOLONG
	}
	var args volArgs
	copy(args.name[:], name)
	return control(parent, func(fd int) error { return ioctl(fd, iocSubvolCreate, unsafe.Pointer(&args)) })
}

// limitSubvolume holds what a subvolume refers to, shared with others or not.
func limitSubvolume(dir *os.File, bytes int64) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	if inode(info) != subvolumeRoot {
		return notHeld("it was made when its file system (Btrfs) had no quotas")
	}
	args := qgroupLimitArgs{flags: limitMaxRfer, maxRfer: uint64(bytes)} // None clears it
	err = control(dir, func(fd int) error { return ioctl(fd, iocQgroupLimit, unsafe.Pointer(&args)) })
	if errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ENOENT) {
		return notHeld("quotas are not enabled on its file system (Btrfs): btrfs quota enable")
	}
	if err != nil {
		return os.NewSyscallError("BTRFS_IOC_QGROUP_LIMIT", err)
	}
	return nil
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
