package fence

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the word says besides a deadline, in nanoseconds of CLOCK_BOOTTIME.
const (
	unarmed = 0 // nothing was ever promised
	expired = 1 // the deadline passed; what is covered is to be dead
)

// clock is the deadline, shared by a mapped file. To be past it and to move it on
// exclude each other: both swap the word that they have seen.
type clock struct {
	memory []byte
	word   *atomic.Int64
}

// Now is the time since the machine was started, also while it slept.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // the kernel has it since 2.6.39
	}
	return time.Duration(ts.Nano())
}

// sleepUntil waits for a time of Now.
func sleepUntil(at time.Duration) {
	ts := unix.NsecToTimespec(int64(at))
	for unix.ClockNanosleep(unix.CLOCK_BOOTTIME, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

const clockSize = 4096

// openClock maps the deadline in dir. One of an earlier start of the machine
// counts no more: nothing of that runs.
func openClock(dir string) (*clock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "deadline"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Room on the disk is taken now, so that a full one cannot stop the clock.
	if err := unix.Fallocate(int(f.Fd()), 0, 0, clockSize); err != nil {
		if !errors.Is(err, unix.EOPNOTSUPP) {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		if _, err := f.WriteAt(make([]byte, 1), clockSize-1); err != nil {
			return nil, err
		}
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, clockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	c := &clock{memory: memory, word: (*atomic.Int64)(unsafe.Pointer(&memory[0]))}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	sum := sha256.Sum256(boot)
	now := int64(binary.LittleEndian.Uint64(sum[:8]) >> 1)
	if of := (*atomic.Int64)(unsafe.Pointer(&memory[8])); of.Load() != now {
		c.word.Store(unarmed)
		of.Store(now)
	}
	return c, nil
}

func (c *clock) close() error { return unix.Munmap(c.memory) }

// past is whether the deadline has passed. Who finds it so makes it so for all.
func (c *clock) past(now time.Duration) bool {
	for {
		word := c.word.Load()
		switch {
		case word == expired:
			return true
		case word == unarmed || now < time.Duration(word):
			return false
		}
		if c.word.CompareAndSwap(word, expired) {
			return true
		}
	}
}

// move sets a later deadline; false means that the last one has passed.
func (c *clock) move(to, now time.Duration) bool {
	for {
		if c.past(now) {
			return false
		}
		word := c.word.Load()
		if word == expired {
			return false
		}
		if word >= int64(to) || c.word.CompareAndSwap(word, int64(to)) {
			return true
		}
	}
}

// again begins anew after the deadline passed, once all that was covered is known to be dead.
func (c *clock) again(to time.Duration) { c.word.CompareAndSwap(expired, int64(to)) }
