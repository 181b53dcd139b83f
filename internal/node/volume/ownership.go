package volume

import (
	"io/fs"
	"os"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

const (
	groupRead  = os.FileMode(0o440)
	groupWrite = os.FileMode(0o660)
	groupEnter = os.FileMode(0o110)
)

// fsGroup is the group that the pod wants its volumes to belong to.
func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// setGroup gives everything at and below dir to the group, readable or also
// writable for it, with new files inheriting it. A pod that mounts the same
// volume may be at work meanwhile, so nothing is reached through a link: all
// happens beneath an open directory.
func setGroup(dir string, group *int64, policy *corev1.PodFSGroupChangePolicy, writable bool) error {
	if group == nil {
		return nil
	}
	mask := groupRead
	if writable {
		mask = groupWrite
	}
	if policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch && belongs(dir, *group, mask) {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	// The root comes last: as long as it does not match, OnRootMismatch starts
	// over after a crash.
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		if path == "." {
			return nil
		}
		return giveToGroup(root, path, *group, mask)
	})
	if err != nil {
		return err
	}
	return giveToGroup(root, ".", *group, mask)
}

func giveToGroup(root *os.Root, path string, group int64, mask os.FileMode) error {
	err := root.Lchown(path, -1, int(group))
	if err == nil {
		var info os.FileInfo
		if info, err = root.Lstat(path); err == nil && info.Mode()&os.ModeSymlink == 0 {
			mode := info.Mode() | mask
			if info.IsDir() {
				mode |= groupEnter | os.ModeSetgid
			}
			if mode != info.Mode() || info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
				err = root.Chmod(path, mode)
			}
		}
	}
	if os.IsNotExist(err) {
		return nil // removed by its user meanwhile
	}
	return err
}

// belongs tells whether dir itself already has the group and its rights.
func belongs(dir string, group int64, mask os.FileMode) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int64(st.Gid) != group {
		return false
	}
	need := mask | groupEnter
	return info.Mode()&need == need && info.Mode()&os.ModeSetgid != 0
}
