package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a containerd that an instance started, possibly an earlier one.
// A PID alone is not an identity: the start time tells it from a later process
// with the same number.
type process struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"startTicks"` // field 22 of /proc/PID/stat
	ConfigHash string `json:"configHash"`
}

// startTicks reads when the process was started, in clock ticks since boot.
func startTicks(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command in parentheses may hold spaces; fields are counted after it.
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: unexpected format", pid)
	}
	if fields[0] == "Z" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// alive tells whether this very process still runs.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	ticks, err := startTicks(p.PID)
	return err == nil && ticks == p.StartTicks
}

// load reads the record of the last containerd; a missing or torn record means none.
func load(file string) process {
	var p process
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &p) != nil {
		return process{}
	}
	return p
}

func (p process) save(file string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".next", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".next", file)
}

// stop ends the process: SIGTERM, and SIGKILL when it has not gone by then.
// The shims and containers are processes of their own and stay.
func (p process) stop(grace time.Duration) error {
	if !p.alive() {
		return nil
	}
	fd, err := pidfd(p.PID)
	if err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return fmt.Errorf("containerd (pid %d): %w", p.PID, err)
	}
	defer syscall.Close(fd)
	if !p.alive() { // the number was reused before the descriptor was opened
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := signalFD(fd, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal containerd (pid %d): %w", p.PID, err)
		}
		if gone(fd, grace) {
			return nil
		}
	}
	return fmt.Errorf("containerd (pid %d) does not end", p.PID)
}
