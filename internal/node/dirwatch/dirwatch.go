// Package dirwatch tells when something in a directory has changed.
package dirwatch

import (
	"errors"
	"fmt"
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

// Folders watches for what comes and goes in the folders that are given to Add.
func Folders() (*Watch, error) { return open("") }

// Add watches dir too, for what comes and goes in it. A folder that is watched
// already stays so, one that is removed is forgotten.
func (w *Watch) Add(dir string) error {
	return w.add(dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
}

func watch(dir, name string, mask uint32) (*Watch, error) {
	w, err := open(name)
	if err != nil {
		return nil, err
	}
	if err := w.add(dir, mask); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// open begins a watch of nothing yet, in which only name counts, if there is one.
func open(name string) (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("inotify_init1: %w: this machine's limit fs.inotify.max_user_instances may be reached", err)
	}
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &Watch{Events: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "inotify")}
	go w.read(name)
	return w, nil
}

func (w *Watch) add(dir string, mask uint32) error {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { _, failed = unix.InotifyAddWatch(int(fd), dir, mask|unix.IN_ONLYDIR) })
	return errors.Join(err, os.NewSyscallError("inotify_add_watch", failed))
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
