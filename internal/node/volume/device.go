package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

func isBlock(pv *corev1.PersistentVolume) bool {
	return pv.Spec.VolumeMode != nil && *pv.Spec.VolumeMode == corev1.PersistentVolumeBlock
}

// device is a claim's volume that containers use as it is, without a file system.
func device(pv *corev1.PersistentVolume, info os.FileInfo) (string, error) {
	path := pv.Spec.Local.Path
	if !isBlockDevice(info) {
		return "", &Error{Volume: pv.Name, Step: "MapVolume.MapPodDevice failed", Err: fmt.Errorf("path %q is not a block device", path)}
	}
	return path, nil
}

func isBlockDevice(info os.FileInfo) bool {
	return info.Mode()&os.ModeDevice != 0 && info.Mode()&os.ModeCharDevice == 0
}

// fileSystemOn mounts the file system of a local volume that is a block device,
// and makes one on a device that has none. Each pod has a mount of its own, so
// that it ends with the pod's directory.
func (v *Volumes) fileSystemOn(ctx context.Context, pod *corev1.Pod, pv *corev1.PersistentVolume) (string, error) {
	path := v.path(pod.UID, localPlugin, pv.Name)
	if isMountPoint(path) {
		return path, nil
	}
	if err := makeDir(path, 0o750); err != nil {
		return "", err
	}
	source := pv.Spec.Local.Path
	found, err := fileSystemOf(ctx, source)
	if err != nil {
		return "", err
	}
	want := "ext4"
	if pv.Spec.Local.FSType != nil && *pv.Spec.Local.FSType != "" {
		want = *pv.Spec.Local.FSType
	}
	if found == "" {
		if err := makeFileSystem(ctx, want, source); err != nil {
			return "", err
		}
		found = want
	}
	flags, data := mountOptions(pv.Spec.MountOptions)
	if err := unix.Mount(source, path, found, flags, data); err != nil {
		return "", fmt.Errorf("mount %s (%s) on %s: %w", source, found, path, err)
	}
	return path, nil
}

// fileSystemOf asks blkid what is on a device; "" is nothing at all. Anything
// that is no file system, a partition table or a part of an array, is an error:
// it is somebody's data.
func fileSystemOf(ctx context.Context, source string) (string, error) {
	blkid, err := findProgram("blkid")
	if err != nil {
		return "", fmt.Errorf("cannot tell whether %s has a file system: this node has no blkid", source)
	}
	output, err := runProgram(ctx, blkid, "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", source)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot tell whether %s has a file system: %w: %s", source, err, output)
	}
	var kind, table string
	for _, line := range strings.Split(output, "\n") {
		if value, ok := strings.CutPrefix(line, "TYPE="); ok {
			kind = value
		} else if value, ok := strings.CutPrefix(line, "PTTYPE="); ok {
			table = value
		}
	}
	if table != "" {
		return "", fmt.Errorf("%s has a partition table (%s) and no file system: it is left as it is", source, table)
	}
	return kind, nil
}

func makeFileSystem(ctx context.Context, fsType, source string) error {
	mkfs, err := findProgram("mkfs." + fsType)
	if err != nil {
		return fmt.Errorf("cannot format %s: this node has no mkfs.%s", source, fsType)
	}
	args := []string{source}
	switch fsType {
	case "ext2", "ext3", "ext4":
		args = []string{"-F", "-m0", source}
	case "xfs":
		args = []string{"-f", source}
	}
	if output, err := runProgram(ctx, mkfs, args...); err != nil {
		return fmt.Errorf("format of disk %q failed: type:(%q) errcode:(%w) output:(%s)", source, fsType, err, output)
	}
	return nil
}

// mountOptions divides the options of a mount into what are flags for the
// kernel and what the file system reads itself.
func mountOptions(options []string) (flags uintptr, data string) {
	known := map[string]uintptr{
		"defaults": 0, "rw": 0, "ro": unix.MS_RDONLY, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME,
		"relatime": unix.MS_RELATIME, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
		"sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC, "lazytime": unix.MS_LAZYTIME, "strictatime": unix.MS_STRICTATIME,
	}
	var rest []string
	for _, o := range options {
		if flag, ok := known[o]; ok {
			flags |= flag
		} else {
			rest = append(rest, o)
		}
	}
	return flags, strings.Join(rest, ",")
}
