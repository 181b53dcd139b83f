package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is what all pods here have of the memory, without files that the
// kernel could drop. It is 0 before the first pod.
func (a *Agent) Memory() (int64, error) {
	return cgroupMemory(cgroupRoot, a.cfg.CgroupParent)
}

func cgroupMemory(root, path string) (int64, error) {
	dir, usage, prefix := filepath.Join(root, path), "memory.current", ""
	if !unified(root) {
		dir, usage, prefix = filepath.Join(root, "memory", path), "memory.usage_in_bytes", "total_"
	}
	text, err := os.ReadFile(filepath.Join(dir, usage))
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("what pods have of the memory: %w", err)
	}
	used, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("what pods have of the memory: %w", err)
	}
	stat, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return 0, fmt.Errorf("what pods have of the memory: %w", err)
	}
	for line := range strings.Lines(string(stat)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == prefix+"active_file" || name == prefix+"inactive_file" {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				used -= n
			}
		}
	}
	return max(used, 0), nil
}
