package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/plan/usage"
)

const (
	procRoot = "/proc"
	// tick is the unit of /proc/stat; Linux gives it so to every program.
	tick = 10 * time.Millisecond
)

// machine counts what all of the machine uses, programs beside Kubernetes
// included, as a kubelet does.
func machine(proc string, now time.Time) (usage.Counters, error) {
	out := usage.Counters{Time: now}
	text, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return out, fmt.Errorf("what the node uses: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	// user, nice and system, then idle and iowait, then irq and softirq;
	// guests are in user, and what was stolen is another machine's.
	for i, field := range fields {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i < 8 && i != 4 && i != 5 {
			out.CPU += time.Duration(n) * tick
		}
	}
	if len(fields) < 5 || fields[0] != "cpu" {
		return out, fmt.Errorf("what the node uses: %s/stat begins with %q", proc, line)
	}
	kib, err := memory(proc)
	if err != nil {
		return out, fmt.Errorf("what the node uses: %w", err)
	}
	// The working set: all but free memory and files that nobody has touched for long.
	out.Memory = max(kib["MemTotal"]-kib["MemFree"]-kib["Inactive(file)"], 0) << 10
	return out, nil
}

// memory reads /proc/meminfo, in KiB.
func memory(proc string) (map[string]int64, error) {
	text, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return nil, err
	}
	kib := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			kib[name] = n
		}
	}
	return kib, nil
}

// totalMemory is what the machine has, in bytes.
func totalMemory(proc string) int64 {
	kib, err := memory(proc)
	if err != nil {
		return 0
	}
	return kib["MemTotal"] << 10
}
