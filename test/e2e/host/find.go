package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Find returns the numbers, as the host knows them, of the processes whose
// command line (words joined by spaces) matches.
func (h *Host) Find(match func(command string) bool) []string {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/root/proc/[0-9]*/cmdline", h.pid))
	var pids []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		if match(strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// Path is where this process finds a file of the host, also one on a file system
// that only the host has mounted, such as its /run.
func (h *Host) Path(file string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", h.pid), file)
}
