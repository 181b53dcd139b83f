package app

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
)

// lock makes this process the only server on dir. The lock goes with the
// process, however it ends.
func lock(dir datadir.Dir) (release func(), err error) {
	f, err := os.OpenFile(dir.Lock(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, inUse(dir, Holder(dir))
		}
		return nil, fmt.Errorf("lock %s: %w", dir.Lock(), err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", dir.Lock(), err)
	}
	return func() { f.Close() }, nil
}

// Holder is the PID of the server that runs on dir, or 0. It asks the lock, not
// the file's content, which a killed server leaves behind.
func Holder(dir datadir.Dir) int {
	f, err := os.Open(dir.Lock())
	if err != nil {
		return 0
	}
	defer f.Close()
	ask := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &ask); err != nil || ask.Type == unix.F_UNLCK {
		return 0
	}
	text, err := os.ReadFile(dir.Lock())
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

func inUse(dir datadir.Dir, holder int) error {
	return fmt.Errorf("the data directory %s is in use by berth with pid %d; stop it first or choose another --data-dir", dir.Path(), holder)
}
