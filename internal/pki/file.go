package pki

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// syncDir makes renames in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}

// readFile returns nil without an error when there is no such file.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// removeLeftovers deletes the temporary files of writes that a crash cut off.
func removeLeftovers(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, ".*.*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}
