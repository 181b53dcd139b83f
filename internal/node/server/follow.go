package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/utils/clock"

	"berth.dev/berth/internal/node/dirwatch"
)

const (
	// recheck is how often the runtime is asked though no event came.
	recheck = 10 * time.Second
	// settle is the pause between a log's closing and asking again whether its
	// container has ended: the runtime closes the log a moment earlier.
	settle  = 50 * time.Millisecond
	settles = 6 // times, each twice as long
	// withoutEvents is the pause where the kernel gives no more watches.
	withoutEvents = time.Second
)

// logFile reads one container's log, also across rotation.
type logFile struct {
	path string // without links
	file *os.File
	in   *bufio.Reader
	part []byte // of a record that is being written
}

// openLog opens the log that path leads to.
func openLog(path string) (*logFile, error) {
	if path == "" {
		return nil, errors.New("the container has no log file")
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("failed to try resolving symlinks in path %q: %w", path, err)
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, fmt.Errorf("failed to open log file %q: %w", real, err)
	}
	return &logFile{path: real, file: f, in: bufio.NewReaderSize(f, 32<<10)}, nil
}

func (l *logFile) close() { l.file.Close() }

// copy writes the wanted lines, and when following also those to come, until
// the container has ended.
func (l *logFile) copy(ctx context.Context, clk clock.Clock, opts logOptions, out *lineWriter, running func(context.Context) bool) error {
	follow := opts.follow && !opts.previous
	var dir *dirwatch.Watch
	var events <-chan struct{}
	if follow {
		// Before reading, so that nothing is missed.
		if w, err := dirwatch.File(filepath.Dir(l.path), filepath.Base(l.path)); err == nil {
			defer w.Close()
			dir, events = w, w.Events
		}
	}
	start, err := tailOffset(l.file, opts.tail, opts.stdout, opts.stderr)
	if err != nil {
		return err
	}
	if _, err := l.file.Seek(start, io.SeekStart); err != nil {
		return err
	}
	// The runtime is asked before each reading to the end, so that nothing is
	// lost between the last line and the container's end.
	alive := follow && running(ctx)
	for soon := 0; ; {
		if err := l.drain(ctx, out); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
		if !alive {
			return l.last(out)
		}
		if l.rotated() {
			continue
		}
		if err := out.flush(); err != nil {
			return err
		}
		pause := recheck
		if events == nil {
			pause = withoutEvents
		} else if soon > 0 {
			pause = settle << (settles - soon)
		}
		timer := clk.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-events:
			if dir.Closed() {
				soon = settles // this may have been the end
				alive = running(ctx)
			}
		case <-timer.C():
			soon = max(soon-1, 0)
			alive = running(ctx)
		}
		timer.Stop()
	}
}

// drain writes all records that are complete.
func (l *logFile) drain(ctx context.Context, out *lineWriter) error {
	for ctx.Err() == nil {
		piece, err := l.in.ReadSlice('\n')
		full := err == nil
		if len(l.part) > 0 || !full {
			l.part = append(l.part, piece...)
			piece = l.part
		}
		if full {
			if err := out.write(piece); err != nil {
				return err
			}
			l.part = l.part[:0]
			continue
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			return l.truncated()
		}
		return err
	}
	return ctx.Err()
}

// truncated starts over when the file has become shorter than what was read.
func (l *logFile) truncated() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	at, err := l.file.Seek(0, io.SeekCurrent)
	if err != nil || info.Size() >= at {
		return err
	}
	l.part = l.part[:0]
	_, err = l.file.Seek(0, io.SeekStart)
	l.in.Reset(l.file)
	return err
}

// last writes the record that was never ended, if it can be read.
func (l *logFile) last(out *lineWriter) error {
	if len(l.part) == 0 {
		return nil
	}
	if err := out.write(l.part); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// rotated goes on with the next file once the runtime writes to it; until
// then lines may still be added to the old one.
func (l *logFile) rotated() bool {
	now, err := os.Stat(l.path)
	if err != nil || now.Size() == 0 {
		return false
	}
	old, err := l.file.Stat()
	if err != nil || os.SameFile(old, now) {
		return false
	}
	if at, err := l.file.Seek(0, io.SeekCurrent); err == nil && old.Size() > at {
		return true // lines came in meanwhile, drain them first
	}
	next, err := os.Open(l.path)
	if err != nil {
		return false
	}
	l.file.Close()
	l.file, l.part = next, l.part[:0]
	l.in.Reset(next)
	return true
}

// tailOffset is where the last n lines of the file begin. Long lines are
// several records, of which all but the last are marked partial; they count once.
func tailOffset(f io.ReadSeeker, n int64, stdout, stderr bool) (int64, error) {
	if n < 0 {
		return 0, nil
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return end, err
	}
	const block = 64 << 10
	var found int64
	var carry []byte // the beginning of a record whose start is not read yet
	after := end     // where the record behind carry ends
	for at := end; at > 0; {
		size := min(int64(block), at)
		at -= size
		buf := make([]byte, size, size+int64(len(carry)))
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(f, buf); err != nil {
			return 0, err
		}
		buf = append(buf, carry...)
		for {
			// The newline that ends the record before this one.
			cut := bytes.LastIndexByte(bytes.TrimSuffix(buf, []byte{'\n'}), '\n')
			if cut < 0 {
				break
			}
			record := buf[cut+1:]
			if counts(record, stdout, stderr) {
				if found++; found > n {
					return after, nil
				}
			}
			after = at + int64(cut) + 1
			buf = buf[:cut+1]
		}
		carry = bytes.Clone(buf)
	}
	if counts(carry, stdout, stderr) {
		if found++; found > n {
			return after, nil
		}
	}
	return 0, nil
}

func counts(record []byte, stdout, stderr bool) bool {
	l, err := parseLine(record)
	return err == nil && !l.partial && ((l.stderr && stderr) || (!l.stderr && stdout))
}
