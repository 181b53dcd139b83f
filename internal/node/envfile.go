package node

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// longestEnvFile bounds what is read of a file with variables: it goes into a
// container's environment, which the kernel bounds too.
const longestEnvFile = 1 << 20

// fileIn reads a file of one of the pod's volumes. Containers write there, so
// nothing is followed out of it, and nothing opened that could make us wait.
func (w *worker) fileIn(volume, path string) (string, error) {
	w.mu.Lock()
	dir, ok := w.paths[volume]
	w.mu.Unlock()
	if !ok {
		return "", fmt.Errorf("cannot find the volume %q referenced by FileKeyRef", volume)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("volume %q: %w", volume, err)
	}
	defer root.Close()
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("failed to open environment variable file %q: %w", path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("environment variable file %q: %w", path, fs.ErrInvalid)
	}
	text, err := io.ReadAll(io.LimitReader(f, longestEnvFile+1))
	if err != nil {
		return "", fmt.Errorf("error reading environment variable file %q: %w", path, err)
	}
	if len(text) > longestEnvFile {
		return "", fmt.Errorf("environment variable file %q is longer than %d bytes", path, longestEnvFile)
	}
	return string(text), nil
}
