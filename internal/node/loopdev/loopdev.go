// Package loopdev shows files as block devices, by the kernel's loop devices.
package loopdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// File is a file as the kernel knows it, whatever its name is now.
type File struct{ Device, Inode uint64 }

// Of is the file at a path.
func Of(path string) (File, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return File{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return File{st.Dev, st.Ino}, nil
}

// Attach returns the block device that shows a file, and makes one if there is none.
func Attach(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	this, err := Of(path)
	if err != nil {
		return "", err
	}
	if found, err := devices(this); err != nil || len(found) > 0 {
		if err != nil {
			return "", err
		}
		return found[0], nil
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("this node has no loop devices: %w", err)
	}
	defer control.Close()
	// Somebody else may take the free one first.
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", fmt.Errorf("find a free loop device: %w", err)
		}
		name := "/dev/loop" + strconv.Itoa(n)
		err = configure(name, path, file)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return "", fmt.Errorf("show %s as %s: %w", path, name, err)
		}
	}
	return "", fmt.Errorf("show %s as a block device: every loop device that was free was taken by others", path)
}

func configure(name, path string, file *os.File) error {
	device, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	config := unix.LoopConfig{Fd: uint32(file.Fd())}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], path)
	return unix.IoctlLoopConfigure(int(device.Fd()), &config)
}

// Detach takes away the devices that show a file; one that is still open goes
// when it is closed.
func Detach(file File) error {
	found, err := devices(file)
	if err != nil {
		return err
	}
	var problems []error
	for _, name := range found {
		device, err := os.OpenFile(name, os.O_RDONLY, 0)
		if err == nil {
			err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
			_ = device.Close()
		}
		if err != nil && !errors.Is(err, unix.ENXIO) && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, fmt.Errorf("take %s down: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

// devices are those that show a file.
func devices(file File) ([]string, error) {
	used, err := filepath.Glob("/sys/block/loop*/loop")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, dir := range used {
		name := "/dev/" + strings.TrimPrefix(filepath.Dir(dir), "/sys/block/")
		device, err := os.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			continue // it has just gone
		}
		status, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
		_ = device.Close()
		if err == nil && (File{status.Device, status.Inode}) == file {
			out = append(out, name)
		}
	}
	return out, nil
}

// whole is what sizes are rounded up to: the kernel shows whole blocks only.
const whole = 4096

// Resize makes a file as large as a device of this size needs, and the devices
// that show it too, while they are used. It never makes a file smaller.
func Resize(path string, size int64) error {
	size = (size + whole - 1) / whole * whole
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() < size {
		if err := os.Truncate(path, size); err != nil {
			return err
		}
	}
	file, err := Of(path)
	if err != nil {
		return err
	}
	found, err := devices(file)
	if err != nil {
		return err
	}
	for _, name := range found {
		device, err := os.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_CAPACITY, 0)
		_ = device.Close()
		if err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("make %s as large as its file: %w", name, err)
		}
	}
	return nil
}
