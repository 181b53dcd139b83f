package logrotate

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ask has what was put aside of a log compressed, but for the newest: who reads
// the log now may just be there.
func (r *Rotator) ask(log string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full[log] = true
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// pack compresses, one file after the other, until ctx ends.
func (r *Rotator) pack(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			r.packAll(ctx)
		}
	}
}

// packAll compresses what was asked for.
func (r *Rotator) packAll(ctx context.Context) {
	for {
		var log string
		r.mu.Lock()
		for log = range r.full {
			delete(r.full, log)
			break
		}
		r.mu.Unlock()
		if log == "" {
			return
		}
		if err := r.packLog(ctx, log); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("what was put aside of a container's log cannot be compressed", "log", log, "error", err)
		}
	}
}

func (r *Rotator) packLog(ctx context.Context, log string) error {
	old, err := r.rotated(log)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, path := range old[:max(len(old)-1, 0)] {
		if strings.HasSuffix(path, compressed) {
			continue
		}
		r.hold(path)
		err := compress(ctx, path)
		r.hold("")
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("compress %s: %w", path, err)
		}
	}
	return nil
}

// hold says what is being compressed; its unfinished file is nobody's leftover.
func (r *Rotator) hold(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packing = path
}

// compress replaces a file by a compressed one. It gives up when the file is
// removed meanwhile, as by a log that grows faster than this.
func compress(ctx context.Context, path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := path + unfinished
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	defer out.Close()
	w := gzip.NewWriter(out)
	for {
		_, err := io.CopyN(w, in, 1<<20)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := os.Lstat(path); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := errors.Join(w.Close(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path+compressed); err != nil {
		return err
	}
	return remove(path)
}
