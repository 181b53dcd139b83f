package fence

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// covered is the folder with a file for each pod that the fence kills: its name
// is the pod's UID, its content the pod's control group. dead is the same for
// those that it has killed, or would have.
const (
	coveredDir = "covered"
	deadDir    = "dead"
)

// read returns what a folder says, by UID.
func read(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	out := map[string]string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // not whole yet
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil {
			out[e.Name()] = string(text)
		}
	}
	return out, err
}

// write makes a file whole or not at all.
func write(dir, uid, cgroup string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	next := filepath.Join(dir, "."+uid)
	if err := os.WriteFile(next, []byte(cgroup), 0o600); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, filepath.Join(dir, uid))
}

func drop(dir, uid string) error {
	if err := os.Remove(filepath.Join(dir, uid)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
