package localvolume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"berth.dev/berth/internal/node/sizelimit"
)

// remove deletes a directory tree without ever leaving the directory above it:
// neither a link in its place nor one inside leads elsewhere, and what somebody
// has mounted in it stays.
func remove(path string) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(path)
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory; remove it by hand and the volume will go", path)
	}
	if point, err := mountIn(path); err != nil {
		return err
	} else if point != "" {
		return fmt.Errorf("a file system is mounted on %s, and what is on it is not the volume's; unmount it and the volume will go", point)
	}
	sizelimit.Drop(path)
	return root.RemoveAll(name)
}

// mountIn is a directory at or below path that something is mounted on.
func mountIn(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path) // as the kernel writes it
	if err != nil {
		return "", err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(info)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			if point := unescape.Replace(fields[4]); point == path || strings.HasPrefix(point, path+"/") {
				return point, nil
			}
		}
	}
	return "", nil
}

// unescape undoes how mountinfo writes what would separate its fields.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
