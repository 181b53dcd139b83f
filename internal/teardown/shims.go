package teardown

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/runtime"
)

const (
	// shimEnds is how long a shim may take to end after its pod was removed.
	shimEnds = 2 * time.Second
	// rounds bound how often the runtime is started once more for pods that it
	// knew nothing of.
	rounds = 3
)

// stopRuntime ends containerd. A pod that was being made when the server ended is
// in none of its lists, but has a shim: containerd looks anew when it starts, and
// what even that does not find is killed.
func (i Instance) stopRuntime(ctx context.Context) error {
	for range rounds {
		if err := runtime.Stop(i.Runtime); err != nil {
			return err
		}
		left, err := outlive(Shims(i.Dir))
		if err != nil || len(left) == 0 {
			return err
		}
		if err := i.stopPods(ctx); err != nil {
			return err
		}
	}
	if err := runtime.Stop(i.Runtime); err != nil {
		return err
	}
	left := Shims(i.Dir)
	for _, pid := range left {
		i.Log("killing a shim of no pod (pid %d)", pid)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("shim (pid %d): %w", pid, err)
		}
	}
	left, err := outlive(left)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("shims do not end: %v", left)
	}
	return err
}

// Shims are the PIDs of an instance's.
func Shims(dir datadir.Dir) []int {
	var all []int
	for _, s := range runtime.Shims(dir) {
		all = append(all, s.PID)
	}
	return all
}

// outlive waits for processes to end, and returns those that did not.
func outlive(pids []int) (left []int, err error) {
	deadline := time.Now().Add(shimEnds)
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("shim (pid %d): %w", pid, err)
		}
		n, err := 0, error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, time.Until(deadline).Milliseconds())))
		}
		_ = unix.Close(fd)
		if err != nil {
			return nil, fmt.Errorf("shim (pid %d): %w", pid, err)
		}
		if n == 0 {
			left = append(left, pid)
		}
	}
	return left, nil
}
