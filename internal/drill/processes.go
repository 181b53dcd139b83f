package drill

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
)

// process is one that runs now.
type process struct {
	pid int
	fd  int // keeps the number from being another's when it is killed
}

// processes are those of this machine that match; each is to be killed or let go.
func processes(match func(pid int, words []string, cgroups string) bool) ([]process, error) {
	found, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	var all []process
	for _, folder := range found {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if !match(pid, words(pid), cgroups(pid)) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // it has just ended
		}
		if err != nil {
			release(all)
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
		// It was looked at before it was held: look again.
		if !match(pid, words(pid), cgroups(pid)) {
			_ = unix.Close(fd)
			continue
		}
		all = append(all, process{pid: pid, fd: fd})
	}
	return all, nil
}

// kill ends them, first come first served, with no chance to say goodbye.
func kill(all []process) error {
	defer release(all)
	for _, p := range all {
		if err := unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", p.pid, err)
		}
	}
	return nil
}

func release(all []process) {
	for _, p := range all {
		_ = unix.Close(p.fd)
	}
}

func words(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return strings.Split(string(bytes.TrimRight(text, "\x00")), "\x00")
}

// cgroups has a pod's UID as Kubernetes writes it, also where systemd's driver
// put underscores.
func cgroups(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(text), "_", "-")
}

// inPod are a pod's processes: of one container, if its name for the runtime is
// given, or of all and the sandbox.
func inPod(dir datadir.Dir, uid, container string) ([]process, error) {
	return processes(func(_ int, _ []string, groups string) bool {
		return within(groups, dir) && strings.Contains(groups, uid) && strings.Contains(groups, container)
	})
}

// within tells whether a process is in a pod of this instance.
func within(groups string, dir datadir.Dir) bool {
	return slices.Contains(strings.FieldsFunc(groups, func(r rune) bool { return r == '/' || r == '\n' }), "berth-"+dir.ID())
}

// isRuntime tells whether these are the words that started an instance's containerd.
func isRuntime(words []string, dir datadir.Dir) bool {
	if len(words) == 0 || filepath.Base(words[0]) != "containerd" {
		return false
	}
	return slices.ContainsFunc(words[1:], func(w string) bool { return strings.HasPrefix(w, dir.Containerd()+"/") })
}
