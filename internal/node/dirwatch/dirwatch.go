// Package dirwatch tells when something in a directory has changed.
package dirwatch

import (
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watch tells of changes until it is closed.
type Watch struct {
	// Events has one event for one or many changes.
	Events chan struct{}
	closed atomic.Bool // the file was closed, or the directory has changed
	file   *os.File
}

// File watches for one name in dir: written, closed or replaced. The whole
// directory is watched, so that the next file of a rotated log is seen too.
func File(dir, name string) (*Watch, error) {
	return watch(dir, name, unix.IN_MODIFY|unix.IN_CLOSE_WRITE|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE_SELF)
}

// Dir watches for files that come, go, or have been written in dir. A file that
// is being written is not told of before that is done.
func Dir(dir string) (*Watch, error) {
	return watch(dir, "", unix.IN_CLOSE_WRITE|unix.IN_DELETE|unix.IN_MOVE|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
}

// Entries watches for what comes and goes in dir, sockets and folders too.
func Entries(dir string) (*Watch, error) {
	return watch(dir, "", unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
}

func watch(dir, name string, mask uint32) (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, mask|unix.IN_ONLYDIR); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	w := &Watch{Events: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "inotify")}
	go w.read(name)
	return w, nil
}

// read ends when the file is closed.
func (w *Watch) read(name string) {
	buf := make([]byte, 4096)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += unix.SizeofInotifyEvent
			who := strings.TrimRight(string(buf[at:at+int(event.Len)]), "\x00")
			at += int(event.Len)
			if name != "" && who != "" && who != name && event.Mask&unix.IN_Q_OVERFLOW == 0 {
				continue
			}
			if event.Mask&^unix.IN_MODIFY != 0 {
				w.closed.Store(true)
			}
			select {
			case w.Events <- struct{}{}:
			default:
			}
		}
	}
}

// Closed is true once after the file was closed or the directory has changed.
func (w *Watch) Closed() bool { return w.closed.Swap(false) }

// Close ends the watch.
func (w *Watch) Close() { w.file.Close() }
