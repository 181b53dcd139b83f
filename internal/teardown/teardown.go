// Package teardown takes an instance down without its help: it ends the
// server, stops the pods gracefully, ends containerd and removes what an
// instance leaves in the kernel (mounts, cgroups, network). Every step can be
// repeated, so an interrupted teardown is finished by running it again.
package teardown

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/fence"
	"berth.dev/berth/internal/node/hostpaths"
	"berth.dev/berth/internal/node/runtime"
	"berth.dev/berth/internal/node/shutdown/logind"
	"berth.dev/berth/internal/node/volume"
)

// Instance is what is taken down.
type Instance struct {
	Dir datadir.Dir
	// Holder is the PID of the running server, or 0.
	Holder int
	// Runtime is how the server configures containerd; an equal one is not restarted.
	Runtime runtime.Config
	// Network removes addresses, routes and rules.
	Network func() error
	Log     func(format string, a ...any)
}

// Down stops everything and keeps the data directory. It goes on after an
// error so that as much as possible is taken down, and returns all errors.
func (i Instance) Down(ctx context.Context) error {
	if err := i.stopServer(); err != nil {
		return err
	}
	if err := i.stopPods(ctx); err != nil {
		return err
	}
	return errors.Join(
		fence.Stop(i.Dir.Fence()),
		i.stopRuntime(ctx),
		i.Network(),
		hostpaths.Of(i.Dir).Remove(),
		logind.Forget(i.Dir.Path()),
		unmountBelow(i.Dir.Path()),
		unmountBelow(i.Dir.Run()),
		volume.DetachBlocks(i.Dir.Volumes()),
		removeCgroups("berth-"+i.Dir.ID()),
		i.removeRun(),
	)
}

// removeRun drops the sockets.
func (i Instance) removeRun() error {
	err := os.RemoveAll(i.Dir.Run())
	if filepath.Dir(i.Dir.Run()) == "/run/berth" {
		_ = os.Remove("/run/berth") // goes only when it is the last instance's
		_ = os.Remove(filepath.Join(i.Dir.Path(), "run"))
	}
	return err
}

// stopServer ends the server with SIGTERM, and with SIGKILL after 10 s.
func (i Instance) stopServer() error {
	if i.Holder == 0 {
		return nil
	}
	i.Log("stopping berth (pid %d)", i.Holder)
	fd, err := unix.PidfdOpen(i.Holder, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		return fmt.Errorf("berth (pid %d): %w", i.Holder, err)
	}
	defer unix.Close(fd)
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("stop berth (pid %d): %w", i.Holder, err)
		}
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
			if err == nil && n > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("berth (pid %d) does not end", i.Holder)
}

// stopPods stops all sandboxes through the runtime, which is started for it if
// it does not run. An instance that never had a runtime has no pods.
func (i Instance) stopPods(ctx context.Context) error {
	if _, err := os.Stat(i.Dir.Containerd()); err != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	r := runtime.New(i.Runtime, slog.New(slog.DiscardHandler))
	go func() { ended <- r.Run(ctx, func() { close(ready) }) }()
	select {
	case err := <-ended:
		return err
	case <-ready:
	}
	err := stopSandboxes(ctx, i.Dir.CRISocket(), i.Log)
	cancel()
	return errors.Join(err, <-ended)
}
