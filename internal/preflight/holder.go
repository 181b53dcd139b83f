package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder says which process listens on a TCP port, as far as /proc tells; it
// is empty when nobody does or it cannot be seen.
func holder(proc string, port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		data, err := os.ReadFile(filepath.Join(proc, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if inode, ok := listener(line, port); ok {
				inodes["socket:["+inode+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	processes, _ := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	for _, process := range processes {
		fds, err := os.ReadDir(filepath.Join(process, "fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			to, err := os.Readlink(filepath.Join(process, "fd", fd.Name()))
			if err == nil && inodes[to] {
				name, _ := os.ReadFile(filepath.Join(process, "comm"))
				return fmt.Sprintf("process %s (%s)", filepath.Base(process), strings.TrimSpace(string(name)))
			}
		}
	}
	return "another process"
}

// listener reads one line of /proc/net/tcp: the local address in hexadecimal,
// the state (0A is listening) and the socket's inode.
func listener(line string, port int) (inode string, ok bool) {
	fields := strings.Fields(line)
	const local, state, socket = 1, 3, 9
	if len(fields) <= socket || fields[state] != "0A" {
		return "", false
	}
	_, hex, found := strings.Cut(fields[local], ":")
	n, err := strconv.ParseUint(hex, 16, 16)
	return fields[socket], found && err == nil && int(n) == port
}
