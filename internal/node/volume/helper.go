package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// helperTimeout is how long a mount may take; a server that does not answer is
// asked again by the next Setup.
const helperTimeout = 2 * time.Minute

// runHelper mounts a file system that the kernel cannot mount by itself, as
// mount(8) does: mount.TYPE SOURCE TARGET -o OPTIONS.
func runHelper(ctx context.Context, fsType, source, target string, options []string) error {
	program, err := findProgram("mount." + fsType)
	if err != nil {
		return fmt.Errorf("mount failed: this node has no mount.%s, which mounts %s volumes: install it (Debian has it in nfs-common)", fsType, strings.ToUpper(fsType))
	}
	args := []string{source, target}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	output, err := runProgram(ctx, program, args...)
	if err == nil {
		return nil
	}
	if !knowsFileSystem(fsType) {
		return fmt.Errorf("mount failed: this node's kernel has no %s client (%s is not in /proc/filesystems): load its module or run the pod on another node",
			strings.ToUpper(fsType), fsType)
	}
	return fmt.Errorf("mount failed: %w\nMounting command: %s\nMounting arguments: %s\nOutput: %s", err, program, strings.Join(args, " "), output)
}

// runProgram runs a program of the system and returns what it printed.
func runProgram(ctx context.Context, program string, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return strings.TrimSpace(string(text)), err
}

// findProgram looks where a service's PATH may not lead, too.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/sbin", "/usr/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

// knowsFileSystem tells whether the kernel has a file system, or a later
// version of it ("nfs4" is "nfs"), now that its module has been asked for.
func knowsFileSystem(fsType string) bool {
	text, err := os.ReadFile("/proc/filesystems")
	return err != nil || listsFileSystem(text, fsType)
}

func listsFileSystem(text []byte, fsType string) bool {
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if n := len(fields); n > 0 && strings.TrimRight(string(fields[n-1]), "0123456789") == fsType {
			return true
		}
	}
	return false
}
