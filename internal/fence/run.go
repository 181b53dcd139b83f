package fence

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sweep is how often covered pods are looked at once the deadline has passed:
// something may just have been about to start there.
const sweep = 100 * time.Millisecond

// idle is how often one looks for a first deadline.
const idle = time.Second

// Run is the process: it ends when there is nothing to cover. dir is the state
// that it shares with its Keeper.
func Run(dir string, log io.Writer) error {
	harden()
	lock, err := hold(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	c, err := openClock(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "the fence is up (pid %d)\n", os.Getpid())
	for {
		pods, err := read(filepath.Join(dir, coveredDir))
		if err == nil && len(pods) == 0 {
			return nil
		}
		if c.past(Now()) {
			for uid, n := range killAll(cgroupRoot, pods) {
				fmt.Fprintf(log, "%s: no lease was renewed in time: killed pod %s (%d processes)\n", time.Now().UTC().Format(time.RFC3339Nano), uid, n)
			}
			time.Sleep(sweep)
			continue
		}
		if at := c.word.Load(); at == unarmed {
			time.Sleep(idle)
		} else if at != expired {
			sleepUntil(time.Duration(at))
		}
	}
}

// killAll kills pods and says in which of them there was something.
func killAll(root string, pods map[string]string) map[string]int {
	out := map[string]int{}
	for uid, cgroup := range pods {
		if n := kill(root, cgroup); n > 0 {
			out[uid] = n
		}
	}
	return out
}

// harden makes it less likely that this process ends or waits before all others.
// What it may not do it does without.
func harden() {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-999"), 0)
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_ONFAULT)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
	_ = os.Chdir("/")
}

// lockFile is locked by the one fence of a state, and holds its number.
const lockFile = "lock"

// hold waits until this process is the fence of dir.
func hold(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// holder is the number of the fence of dir, or 0 when there is none.
func holder(dir string) (int, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return 0, nil // nobody has it; closing lets it go
	} else if !errors.Is(err, unix.EWOULDBLOCK) {
		return 0, fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, nil // it is just about to say
	}
	return pid, nil
}

// Stop ends the fence of dir and forgets what it covered: there is nothing left
// to kill.
func Stop(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, coveredDir)); err != nil {
		return err
	}
	pid, err := holder(dir)
	if err != nil || pid == 0 {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("berth-fence (pid %d): %w", pid, err)
	}
	defer unix.Close(fd)
	if still, err := holder(dir); err != nil || still != pid {
		return err // the number is another process's by now
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop berth-fence (pid %d): %w", pid, err)
	}
	waitEnd(fd, int((5 * time.Second).Milliseconds()))
	return nil
}

// waitEnd waits until a process has ended, and says whether it has.
func waitEnd(pidfd, milliseconds int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, milliseconds)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0
		}
	}
}
