package volume

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is one file to be shown to containers.
type file struct {
	data []byte
	mode os.FileMode
	uid  *int64 // owner, root unless set
}

const (
	dataLink    = "..data"
	dataLinkTmp = "..data_tmp"
)

// writeAtomic makes dir show exactly these files, in the kubelet's layout: the
// files lie in a directory named by time, the link ..data points to it, and
// every name seen by containers is a link through ..data. A reader sees all of
// the old files or all of the new ones, also when we are killed half way.
// With a group the files belong to it and may be read by it.
func writeAtomic(dir string, files map[string]file, group *int64, now time.Time) (changed bool, err error) {
	for name := range files {
		if err := checkFileName(name); err != nil {
			return false, err
		}
	}
	current, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !os.IsNotExist(err) {
		return false, err
	}
	if current == "" || !shows(filepath.Join(dir, current), files, group) {
		if current, err = switchTo(dir, files, group, now); err != nil {
			return false, err
		}
		changed = true
	}
	// Also when nothing has changed: a crash may have left links undone.
	if err := link(dir, files); err != nil {
		return changed, err
	}
	return changed, removeStale(dir, current)
}

// switchTo writes the files into a new directory and points ..data to it.
func switchTo(dir string, files map[string]file, group *int64, now time.Time) (string, error) {
	next, err := os.MkdirTemp(dir, now.UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return "", err
	}
	if err := writeFiles(next, files, group); err != nil {
		_ = os.RemoveAll(next)
		return "", err
	}
	tmp := filepath.Join(dir, dataLinkTmp)
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if err := os.Symlink(filepath.Base(next), tmp); err != nil {
		return "", err
	}
	return filepath.Base(next), os.Rename(tmp, filepath.Join(dir, dataLink))
}

func writeFiles(dir string, files map[string]file, group *int64) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for name, f := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			return err
		}
		if f.uid != nil {
			if err := os.Chown(path, int(*f.uid), -1); err != nil {
				return err
			}
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
	}
	return setGroup(dir, group, nil, false)
}

// shows tells whether dir holds exactly these files.
func shows(dir string, files map[string]file, group *int64) bool {
	left := len(files)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, wanted := files[name]
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := f.mode.Perm()
		if group != nil {
			mode |= groupRead
		}
		if !wanted || !info.Mode().IsRegular() || info.Mode().Perm() != mode || info.Size() != int64(len(f.data)) {
			return fs.ErrInvalid
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, f.data) {
			return fs.ErrInvalid
		}
		left--
		return nil
	})
	return err == nil && left == 0
}

// link makes the names that containers see, one for the first element of each
// file's name, and removes those that lead nowhere now.
func link(dir string, files map[string]file) error {
	wanted := map[string]bool{}
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		wanted[first] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		if wanted[name] {
			if to, err := os.Readlink(filepath.Join(dir, name)); err == nil && to == filepath.Join(dataLink, name) {
				delete(wanted, name)
				continue
			}
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// removeStale removes the directories that ..data does not point to.
func removeStale(dir, current string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, "..") || name == current || name == dataLink {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// checkFileName refuses what would leave the volume or hide its bookkeeping.
func checkFileName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("invalid path: must not be empty: %q", name)
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("invalid path: must be relative path: %s", name)
	case strings.HasPrefix(name, ".."):
		return fmt.Errorf("invalid path: must not start with '..': %s", name)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("invalid path: must not contain a zero byte: %q", name)
	case len(name) > 4096:
		return fmt.Errorf("invalid path: must be less than or equal to 4096 characters")
	}
	elements := strings.Split(name, "/")
	if slices.Contains(elements, "..") {
		return fmt.Errorf("invalid path: must not contain '..': %s", name)
	}
	for _, element := range elements {
		if len(element) > 255 {
			return fmt.Errorf("invalid path: filename must be less than or equal to 255 characters")
		}
		if element == "" || element == "." {
			return fmt.Errorf("invalid path: has an empty element: %s", name)
		}
	}
	return nil
}
