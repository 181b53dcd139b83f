package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// Mount is one entry of a container's volumeMounts that has a subPath.
type Mount struct {
	Pod       types.UID
	Volume    string // the volume's name in the pod
	Container string
	Index     int    // of the entry in volumeMounts
	Root      string // the volume's host path, from Setup
	SubPath   string // expanded already
}

// SubPath bind-mounts what lies at the mount's subPath below the pod's
// directory and returns that place, which stays the same thing whatever
// happens inside the volume later. A missing directory is made, with the mode
// of the volume. A path that leads out of the volume, by ".." or by a link, is
// refused. TearDown takes the mount away.
//
// The errors are upstream's, and like those say nothing about the host's files.
func (v *Volumes) SubPath(ctx context.Context, m Mount) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := errors.Join(checkUID(m.Pod), checkUID(types.UID(m.Volume)), checkUID(types.UID(m.Container))); err != nil {
		return "", err
	}
	if err := checkSubPath(m.SubPath); err != nil {
		return "", err
	}
	target := filepath.Join(v.PodDir(m.Pod), "volume-subpaths", m.Volume, m.Container, strconv.Itoa(m.Index))
	fd, err := openSubPath(m.Root, m.SubPath)
	if err != nil {
		v.cfg.Log.Warn("a subPath cannot be used", "pod", m.Pod, "container", m.Container, "volume", m.Root, "subPath", m.SubPath, "error", err)
		what := "prepare subPath"
		if errors.Is(err, errMakeSubPath) {
			what = "create subPath directory"
		}
		return "", fmt.Errorf("failed to %s for volumeMount %q of container %q", what, m.Volume, m.Container)
	}
	defer unix.Close(fd)
	if err := bindAt(fd, target); err != nil {
		v.cfg.Log.Warn("a subPath cannot be mounted", "pod", m.Pod, "container", m.Container, "target", target, "error", err)
		return "", fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q", m.Volume, m.Container)
	}
	return target, nil
}

// SubPath resolves subPath within root, makes it when it is missing and returns
// its real path. Between this call and its use a container may put a link in
// the way: only use it for volumes that no container can write to, else
// Volumes.SubPath.
func SubPath(ctx context.Context, root, subPath string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := checkSubPath(subPath); err != nil {
		return "", err
	}
	fd, err := openSubPath(root, subPath)
	if err != nil {
		return "", fmt.Errorf("subPath %q of %s: %w", subPath, root, err)
	}
	defer unix.Close(fd)
	return os.Readlink(procPath(fd))
}

// checkSubPath refuses what upstream's kubelet refuses by its text alone.
func checkSubPath(subPath string) error {
	if strings.HasPrefix(subPath, "/") {
		return fmt.Errorf("error SubPath `%s` must not be an absolute path", subPath)
	}
	if err := noBacksteps(subPath); err != nil {
		return fmt.Errorf("unable to provision SubPath `%s`: %w", subPath, err)
	}
	return nil
}

var errMakeSubPath = errors.New("cannot make the directory")

// beneath lets links be followed as long as they stay in the volume.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS

// openSubPath opens what lies at subPath below root (O_PATH), and makes a
// directory of it when there is nothing. The kernel resolves beneath the open
// root, so no rename or link made meanwhile can lead elsewhere.
func openSubPath(root, subPath string) (int, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: beneath}
	path := filepath.Clean(filepath.Join(".", subPath))
	fd, err := openat2(dir, path, how)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	if err := makeBeneath(dir, path); err != nil {
		return -1, fmt.Errorf("%w: %w", errMakeSubPath, err)
	}
	return openat2(dir, path, how)
}

// makeBeneath makes the directories of path that are missing, each in its open
// parent, with the mode of the volume's root.
func makeBeneath(root int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return err
	}
	parent, err := unix.Dup(root)
	if err != nil {
		return err
	}
	defer func() { unix.Close(parent) }()
	elements := strings.Split(path, "/")
	for i, element := range elements {
		how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: beneath}
		next, err := openat2(root, filepath.Join(elements[:i+1]...), how)
		if errors.Is(err, unix.ENOENT) {
			next, err = makeChild(parent, element, st.Mode&0o7777)
		}
		if err != nil {
			return err
		}
		unix.Close(parent)
		parent = next
	}
	return nil
}

// makeChild makes a directory and opens it; a link that appears in its place
// is not followed.
func makeChild(parent int, name string, mode uint32) (int, error) {
	if err := unix.Mkdirat(parent, name, mode&0o777); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil && st.Mode&0o7777 != mode {
		if err := unix.Fchmod(fd, mode); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// bindAt mounts the open file or directory at target. A mount of the same
// thing is left alone, one of another thing is replaced.
func bindAt(fd int, target string) error {
	var source unix.Stat_t
	if err := unix.Fstat(fd, &source); err != nil {
		return err
	}
	if isMountPoint(target) {
		var now unix.Stat_t
		if err := unix.Lstat(target, &now); err == nil && now.Dev == source.Dev && now.Ino == source.Ino {
			return nil
		}
		if err := unmountUnder(target); err != nil {
			return err
		}
	}
	if err := makeTarget(target, source.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return err
	}
	if err := unix.Mount(procPath(fd), target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind mount on %s: %w", target, err)
	}
	return nil
}

// makeTarget makes an empty directory or file to mount on.
func makeTarget(target string, dir bool) error {
	info, err := os.Lstat(target)
	if err == nil && info.IsDir() == dir && info.Mode()&os.ModeSymlink == 0 {
		return nil
	}
	if err == nil {
		if err := os.Remove(target); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	if dir {
		return os.Mkdir(target, 0o750)
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}
