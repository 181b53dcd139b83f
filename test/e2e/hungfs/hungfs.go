// Package hungfs is a file system with one file, whose server can stop to
// answer: who has begun to read then waits in the kernel, out of reach of any
// signal, as with a network file system whose server is gone. It speaks the
// kernel's FUSE protocol, as much of it as that takes.
package hungfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Name is the file's name, Content what is in it while the server answers.
const (
	Name    = "file"
	Content = "it answers\n"
)

// FS is the server.
type FS struct {
	device *os.File
	ended  chan struct{}

	mu     sync.Mutex
	silent bool
	waits  [][]byte // requests that came while it was silent
}

// New opens the device by which the kernel asks. Whoever mounts the file system
// gives File to the kernel; Serve answers.
func New() (*FS, error) {
	// It stays a blocking descriptor: one that is polled is told of nothing before it is mounted.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	return &FS{device: os.NewFile(uintptr(fd), "/dev/fuse"), ended: make(chan struct{})}, nil
}

// File is what mount(2) wants to have as its option fd.
func (f *FS) File() *os.File { return f.device }

// Hang makes the server silent.
func (f *FS) Hang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = true
}

// Reading is how many wait for what they have asked to read.
func (f *FS) Reading() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, request := range f.waits {
		if opcode(request) == opRead {
			n++
		}
	}
	return n
}

// Thaw answers what was asked meanwhile, and everything from now on.
func (f *FS) Thaw() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = false
	var errs []error
	for _, request := range f.waits {
		errs = append(errs, f.answer(request))
	}
	f.waits = nil
	return errors.Join(errs...)
}

// Serve answers until the file system is mounted nowhere any more.
func (f *FS) Serve() error {
	defer close(f.ended)
	buffer := make([]byte, 1<<20)
	for {
		n, err := unix.Read(int(f.device.Fd()), buffer)
		switch {
		case errors.Is(err, unix.ENODEV):
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT):
			continue // a request that was taken back
		case errors.Is(err, unix.EPERM):
			time.Sleep(time.Millisecond) // not mounted yet; there is nothing to wait for
			continue
		case err != nil:
			return fmt.Errorf("read a request: %w", err)
		}
		if err := f.take(append([]byte(nil), buffer[:n]...)); err != nil {
			return err
		}
	}
}

// Ended is closed when Serve has returned.
func (f *FS) Ended() <-chan struct{} { return f.ended }

func (f *FS) take(request []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.silent {
		return f.answer(request)
	}
	f.waits = append(f.waits, request)
	return nil
}

// What the kernel asks for, as linux/fuse.h numbers it.
const (
	opLookup      = 1
	opForget      = 2
	opGetattr     = 3
	opOpen        = 14
	opRead        = 15
	opStatfs      = 17
	opRelease     = 18
	opInit        = 26
	opOpendir     = 27
	opReaddir     = 28
	opReleasedir  = 29
	opInterrupt   = 36
	opBatchForget = 42
)

const (
	header = 40 // of a request
	root   = 1
	child  = 2
)

var order = binary.NativeEndian

func opcode(request []byte) uint32 { return order.Uint32(request[4:]) }

// answer writes the answer to one request.
func (f *FS) answer(request []byte) error {
	node, body := order.Uint64(request[16:]), request[header:]
	var out []byte
	var failed unix.Errno
	switch opcode(request) {
	case opForget, opBatchForget, opInterrupt:
		return nil // they want none
	case opInit:
		out = initOut()
	case opLookup:
		if node != root || string(body) != Name+"\x00" {
			failed = unix.ENOENT
		}
		out = entryOut()
	case opGetattr:
		out = append(make([]byte, 16), attr(node)...) // good for no time: it asks again each time
	case opOpen, opOpendir:
		out = make([]byte, 16)
		order.PutUint32(out[8:], 1) // past the page cache, so that each read asks
	case opRead:
		out = []byte(Content)
		out = out[min(order.Uint64(body[8:]), uint64(len(out))):]
		out = out[:min(int(order.Uint32(body[16:])), len(out))]
	case opReaddir, opRelease, opReleasedir:
	case opStatfs:
		out = make([]byte, 80)
		order.PutUint32(out[40:], 4096)
		order.PutUint32(out[44:], 255)
		order.PutUint32(out[48:], 4096)
	default:
		failed = unix.ENOSYS // also what each close would ask for: once told, the kernel asks no more
	}
	if failed != 0 {
		out = nil
	}
	whole := make([]byte, 16, 16+len(out))
	order.PutUint32(whole, uint32(16+len(out)))
	order.PutUint32(whole[4:], uint32(-int32(failed)))
	copy(whole[8:], request[8:16])
	if _, err := unix.Write(int(f.device.Fd()), append(whole, out...)); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("answer a request: %w", err) // ENOENT: nobody waits any more
	}
	return nil
}

func initOut() []byte {
	out := make([]byte, 64)
	order.PutUint32(out, 7)
	order.PutUint32(out[4:], 31)
	order.PutUint16(out[16:], 12)
	order.PutUint16(out[18:], 9)
	order.PutUint32(out[20:], 128<<10)
	order.PutUint32(out[24:], 1)
	return out
}

// entryOut is the file, known for no time.
func entryOut() []byte {
	out := make([]byte, 40)
	order.PutUint64(out, child)
	return append(out, attr(child)...)
}

func attr(node uint64) []byte {
	out := make([]byte, 88)
	mode, links := uint32(unix.S_IFDIR|0o755), uint32(2)
	if node == child {
		mode, links = unix.S_IFREG|0o644, 1
		order.PutUint64(out[8:], uint64(len(Content)))
	}
	order.PutUint64(out, node)
	order.PutUint32(out[60:], mode)
	order.PutUint32(out[64:], links)
	order.PutUint32(out[80:], 4096)
	return out
}
