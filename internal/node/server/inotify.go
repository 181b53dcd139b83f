package server

import (
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirWatch tells when a file in a directory is written, closed or replaced.
type dirWatch struct {
	events chan struct{} // one event may stand for many
	closed atomic.Bool   // the file was closed, or the directory has changed
	file   *os.File
}

// watchDir watches for one name in dir. The whole directory is watched, so
// that the next file of a rotated log is seen too.
func watchDir(dir, name string) (*dirWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	const mask = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	w := &dirWatch{events: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "inotify")}
	go w.read(name)
	return w, nil
}

// read ends when the file is closed.
func (w *dirWatch) read(name string) {
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
			if who != "" && who != name && event.Mask&unix.IN_Q_OVERFLOW == 0 {
				continue
			}
			if event.Mask&^unix.IN_MODIFY != 0 {
				w.closed.Store(true)
			}
			select {
			case w.events <- struct{}{}:
			default:
			}
		}
	}
}

func (w *dirWatch) close() { w.file.Close() }
