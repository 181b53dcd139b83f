package volume

import (
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// hostPath checks that the path is what the pod says it is, and makes it
// where the pod asks for that. Without a type nothing is checked: the runtime
// makes a missing directory.
func hostPath(src *corev1.HostPathVolumeSource) (string, error) {
	if err := noBacksteps(src.Path); err != nil {
		return "", fmt.Errorf("invalid HostPath `%s`: %w", src.Path, err)
	}
	if src.Type == nil || *src.Type == corev1.HostPathUnset {
		return src.Path, nil
	}
	return src.Path, checkHostPath(src.Path, *src.Type)
}

func checkHostPath(path string, kind corev1.HostPathType) error {
	info, err := os.Stat(path)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("hostPath type check failed: %w", err)
	}
	exists := err == nil
	is := func(right bool, what string) error {
		if exists && right {
			return nil
		}
		return fmt.Errorf("hostPath type check failed: %s is not a %s", path, what)
	}
	var mode os.FileMode
	if exists {
		mode = info.Mode()
	}
	switch kind {
	case corev1.HostPathDirectoryOrCreate:
		if !exists {
			return os.MkdirAll(path, 0o755)
		}
		return is(mode.IsDir(), "directory")
	case corev1.HostPathDirectory:
		return is(mode.IsDir(), "directory")
	case corev1.HostPathFileOrCreate:
		if !exists {
			f, err := os.OpenFile(path, os.O_CREATE, 0o644)
			if err != nil {
				return err
			}
			return f.Close()
		}
		return is(!mode.IsDir(), "file")
	case corev1.HostPathFile:
		return is(!mode.IsDir(), "file")
	case corev1.HostPathSocket:
		return is(mode&os.ModeSocket != 0, "socket file")
	case corev1.HostPathCharDev:
		return is(mode&os.ModeCharDevice != 0, "character device")
	case corev1.HostPathBlockDev:
		return is(mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0, "block device")
	}
	return fmt.Errorf("%s is an invalid volume type", kind)
}

// noBacksteps refuses a path with an element "..".
func noBacksteps(path string) error {
	if slices.Contains(strings.Split(path, "/"), "..") {
		return fmt.Errorf("must not contain '..'")
	}
	return nil
}
