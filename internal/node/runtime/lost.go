package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
)

const (
	// shimProgram is the process that holds the containers of one pod.
	shimProgram = "containerd-shim-runc-v2"
	// killFor is how long the processes of one pod may take to end.
	killFor = 5 * time.Second
)

// Shim holds the containers of one pod.
type Shim struct {
	PID int
	// ID is that of the sandbox.
	ID string
}

// Shims are an instance's, by the runtime's socket that they name.
func Shims(dir datadir.Dir) []Shim {
	var all []Shim
	for _, p := range programs() {
		if filepath.Base(p.words[0]) == shimProgram && after(p.words, "-address") == dir.RuntimeSocket() {
			all = append(all, Shim{PID: p.pid, ID: after(p.words, "-id")})
		}
	}
	return all
}

// program is a process with the words that it was started with.
type program struct {
	pid   int
	words []string
}

func programs() []program {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is good
	var all []program
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			all = append(all, program{pid, strings.Split(string(bytes.TrimRight(text, "\x00")), "\x00")})
		}
	}
	return all
}

// after is the word behind a flag.
func after(words []string, flag string) string {
	if i := slices.Index(words, flag); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// endLost ends the pods that no containerd can find, because what it had written
// down of them is gone: somebody removed the data directory while they ran. Those
// that come in their place, with their names and addresses, must not meet them.
// No containerd runs, so none is about to write that down.
func (r *Runtime) endLost() error {
	var problems []error
	for _, s := range Shims(r.cfg.Dir) {
		// What is inside is looked at too: containers outlive a sandbox that was killed.
		known := r.knows(s.ID)
		for _, pid := range children(s.PID) {
			for _, path := range groups(pid, r.instance()) {
				known = known || r.knows(filepath.Base(path))
			}
		}
		if known {
			continue
		}
		r.log.Warn("ending a pod that containerd does not know any more: its records were removed", "sandbox", s.ID, "shim", s.PID)
		problems = append(problems, s.end(r.instance()))
	}
	return errors.Join(problems...)
}

// knows tells whether containerd has written down how to reach a container's shim.
func (r *Runtime) knows(id string) bool {
	_, err := os.Stat(filepath.Join(r.cfg.Tasks(), id, "bootstrap.json"))
	return !errors.Is(err, fs.ErrNotExist)
}

// instance is the control group that all pods of the instance are below.
func (r *Runtime) instance() string { return "berth-" + r.cfg.Dir.ID() }

// unrecorded is the containerd of an instance whose record of it is gone.
func (r *Runtime) unrecorded() process {
	for _, p := range programs() {
		if filepath.Base(p.words[0]) == "containerd" && after(p.words, "--config") == r.cfg.file() {
			if ticks, err := startTicks(p.pid); err == nil {
				return process{PID: p.pid, StartTicks: ticks}
			}
		}
	}
	return process{}
}

// end kills the processes of a shim's containers, and then the shim.
func (s Shim) end(instance string) error {
	for deadline := time.Now().Add(killFor); ; time.Sleep(time.Millisecond) {
		inside := children(s.PID)
		for _, pid := range slices.Clone(inside) {
			inside = append(inside, members(pid, instance)...)
		}
		if len(inside) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes of a pod whose records were removed do not end: %v", inside)
		}
		for _, pid := range inside {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	fd, err := pidfd(s.PID)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("shim (pid %d): %w", s.PID, err)
	}
	defer syscall.Close(fd)
	if err := signalFD(fd, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("shim (pid %d): %w", s.PID, err)
	}
	if !gone(fd, killFor) {
		return fmt.Errorf("shim (pid %d) does not end", s.PID)
	}
	return nil
}

// children are the processes that a process is the parent of, without those that
// have ended.
func children(parent int) []int {
	found, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	var all []int
	for _, name := range found {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// The command in parentheses may hold spaces; fields are counted after it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// groups are the control groups of a process that lie below the instance's.
func groups(pid int, instance string) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	var all []string
	for line := range strings.Lines(string(text)) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":/")
		if slices.Contains(strings.Split(path, "/"), instance) && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	return all
}

// members are the processes in the control groups of a process. A container that
// shares the machine's process numbers does not end with its first one.
func members(pid int, instance string) []int {
	var all []int
	for _, path := range groups(pid, instance) {
		files, _ := filepath.Glob("/sys/fs/cgroup/*/" + path + "/cgroup.procs") // the names are the runtime's
		for _, file := range append(files, "/sys/fs/cgroup/"+path+"/cgroup.procs") {
			procs, _ := os.ReadFile(file)
			for word := range strings.FieldsSeq(string(procs)) {
				if n, err := strconv.Atoi(word); err == nil && n > 1 && !slices.Contains(all, n) {
					all = append(all, n)
				}
			}
		}
	}
	return all
}
