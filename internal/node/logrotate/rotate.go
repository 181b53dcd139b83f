// Package logrotate keeps the logs of containers from filling the disk: a log
// that has grown too long is put aside under the time's name, the runtime begins
// a new one, older ones are compressed and the oldest removed. Names and numbers
// are the kubelet's: 0.log, 0.log.20260102-150405, 0.log.20260102-150000.gz.
package logrotate

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

// How often logs are looked at: as soon as the fastest may be full, within these.
const (
	shortest = 250 * time.Millisecond
	longest  = 10 * time.Second
)

const (
	stamp      = "20060102-150405"
	compressed = ".gz"
	unfinished = ".tmp"
)

// Log is the log of one running container.
type Log struct{ ID, Path string }

// Config is what rotation needs.
type Config struct {
	// MaxSize is how long a log grows, MaxFiles how many are kept of a
	// container, the current one included.
	MaxSize  int64
	MaxFiles int
	// Logs lists the logs of running containers.
	Logs func() []Log
	// Reopen makes the runtime write to a new file at the old path.
	Reopen func(ctx context.Context, id string) error
	Clock  clock.Clock
	Log    *slog.Logger
}

// Rotator watches the logs of one node.
type Rotator struct {
	cfg  Config
	last map[string]seen
}

// seen is what a log was like.
type seen struct {
	size int64
	at   time.Time
}

// New makes a rotator; Run starts it.
func New(cfg Config) *Rotator { return &Rotator{cfg: cfg, last: map[string]seen{}} }

// Run works until ctx ends.
func (r *Rotator) Run(ctx context.Context) {
	for {
		timer := r.cfg.Clock.NewTimer(r.pass(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
	}
}

// pass looks at every log once and says when to look again.
func (r *Rotator) pass(ctx context.Context) time.Duration {
	pause := longest
	now := r.cfg.Clock.Now()
	next := map[string]seen{}
	for _, log := range r.cfg.Logs() {
		info, err := os.Stat(log.Path)
		if err != nil {
			continue // it ended meanwhile
		}
		size := info.Size()
		if size >= r.cfg.MaxSize {
			if err := r.Rotate(ctx, log); err != nil && ctx.Err() == nil {
				r.cfg.Log.Warn("a container's log cannot be rotated, it grows on", "log", log.Path, "error", err)
			} else {
				size = 0
			}
			pause = min(pause, time.Second) // whoever filled one may fill the next
		}
		next[log.ID] = seen{size, now}
		pause = min(pause, r.full(r.last[log.ID], next[log.ID]))
	}
	r.last = next
	return max(pause, shortest)
}

// full is when a log will be too long if it grows on like this.
func (r *Rotator) full(before, now seen) time.Duration {
	grown, took := now.size-before.size, now.at.Sub(before.at)
	if before.at.IsZero() || grown <= 0 || took <= 0 {
		return longest
	}
	left := float64(r.cfg.MaxSize-now.size) / float64(grown) * float64(took)
	if left > float64(longest) {
		return longest
	}
	return time.Duration(left)
}

// Rotate puts a log aside and has a new one begun.
func (r *Rotator) Rotate(ctx context.Context, log Log) error {
	old, err := rotated(log.Path)
	if err != nil {
		return err
	}
	// One place is for the log that is put aside now, one for the new one.
	keep := max(r.cfg.MaxFiles-2, 0)
	for len(old) > keep {
		if err := remove(old[0]); err != nil {
			return err
		}
		old = old[1:]
	}
	for _, path := range old {
		if !strings.HasSuffix(path, compressed) {
			if err := compress(path); err != nil {
				return fmt.Errorf("compress %s: %w", path, err)
			}
		}
	}
	aside := r.asideName(log.Path)
	if err := os.Rename(log.Path, aside); err != nil {
		return err
	}
	if err := r.cfg.Reopen(ctx, log.ID); err != nil {
		// It is still being written to, under its new name.
		return errors.Join(fmt.Errorf("reopen the log of container %s: %w", log.ID, err), os.Rename(aside, log.Path))
	}
	if r.cfg.MaxFiles == 1 {
		return remove(aside)
	}
	return nil
}

// asideName is a name of this second, or of a later one if that is taken: a
// name tells the order.
func (r *Rotator) asideName(path string) string {
	for at := r.cfg.Clock.Now(); ; at = at.Add(time.Second) {
		name := path + "." + at.Format(stamp)
		if _, err := os.Lstat(name); !os.IsNotExist(err) {
			continue
		}
		if _, err := os.Lstat(name + compressed); os.IsNotExist(err) {
			return name
		}
	}
}

// rotated lists what was put aside of a log, the oldest first, and removes what
// was left half done.
func rotated(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), filepath.Base(path)+".")
		if !ok {
			continue
		}
		full := filepath.Join(filepath.Dir(path), entry.Name())
		if strings.HasSuffix(rest, unfinished) {
			if err := remove(full); err != nil {
				return nil, err
			}
			continue
		}
		if _, err := time.Parse(stamp, strings.TrimSuffix(rest, compressed)); err == nil {
			all[full] = true
		}
	}
	var out []string
	for full := range all {
		if all[full+compressed] {
			// Killed between the two steps of compressing it.
			if err := remove(full); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, full)
	}
	slices.Sort(out)
	return out, nil
}

// compress replaces a file by a compressed one.
func compress(path string) (err error) {
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
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path+compressed); err != nil {
		return err
	}
	return remove(path)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
