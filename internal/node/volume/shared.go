package volume

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ShareMounts sees to it that what storage drivers mount below root, in their
// containers, is seen by this node and by other pods. Where systemd runs that is
// so; elsewhere root becomes a shared mount of its own, as long as nothing is
// mounted there yet.
func ShareMounts(root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if isShared(info, root) || len(parseMountInfo(info, root)) > 0 {
		return nil
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("make %s a mount of its own: %w", root, err)
	}
	if err := unix.Mount("", root, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share the mounts below %s: %w", root, err)
	}
	return nil
}

// isShared tells whether the mount that path is on passes on what is mounted there.
func isShared(info []byte, path string) bool {
	longest, shared := -1, false
	for lines := bufio.NewScanner(bytes.NewReader(info)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 7 {
			continue
		}
		point := unescape(fields[4])
		if path != point && point != "/" && !strings.HasPrefix(path, point+"/") || len(point) < longest {
			continue
		}
		longest, shared = len(point), false // a later mount lies on top
		for _, optional := range fields[6:] {
			if optional == "-" {
				break
			}
			shared = shared || strings.HasPrefix(optional, "shared:")
		}
	}
	return shared
}
