package runtime

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func pidfd(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

func signalFD(fd int, sig syscall.Signal) error { return unix.PidfdSendSignal(fd, sig, nil, 0) }

// goneOr waits until the process behind fd has ended or the other descriptor
// is closed at its far end.
func goneOr(fd, other int) {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(other), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return
		}
	}
}

// gone waits until the process behind fd has ended, at most d.
func gone(fd int, d time.Duration) bool {
	deadline := time.Now().Add(d)
	for {
		left := int(max(0, time.Until(deadline).Milliseconds()))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, left)
		if err == unix.EINTR {
			continue
		}
		return err == nil && n > 0
	}
}
