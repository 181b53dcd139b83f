// Package logrotate keeps the logs of containers from filling the disk: a log
// that has grown too long is put aside under the time's name, the runtime begins
// a new one, older ones are compressed and the oldest removed. Names and numbers
// are the kubelet's: 0.log, 0.log.20260102-150405, 0.log.20260102-150000.gz.
package logrotate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	wake chan struct{} // there is something to compress

	mu      sync.Mutex
	full    map[string]bool // logs of which something was put aside
	packing string          // what is being compressed
}

// seen is what a log was like.
type seen struct {
	size int64
	at   time.Time
}

// New makes a rotator; Run starts it.
func New(cfg Config) *Rotator {
	return &Rotator{cfg: cfg, last: map[string]seen{}, wake: make(chan struct{}, 1), full: map[string]bool{}}
}

// Run works until ctx ends.
func (r *Rotator) Run(ctx context.Context) {
	var packer sync.WaitGroup
	defer packer.Wait()
	packer.Go(func() { r.pack(ctx) })
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
		before, is := r.last[log.ID], seen{info.Size(), now}
		next[log.ID] = is
		if is.size >= r.cfg.MaxSize {
			if err := r.Rotate(ctx, log); err != nil {
				if ctx.Err() == nil {
					r.cfg.Log.Warn("a container's log cannot be rotated, it grows on", "log", log.Path, "error", err)
				}
			} else {
				// As much as it grew since the last look, the new one will grow until the next.
				before, is = seen{before.size - is.size, before.at}, seen{0, now}
				next[log.ID] = is
			}
			pause = min(pause, time.Second) // whoever filled one may fill the next
		}
		pause = min(pause, r.filled(before, is))
	}
	r.last = next
	return max(pause, shortest)
}

// filled is when a log will be too long if it grows on like this.
func (r *Rotator) filled(before, now seen) time.Duration {
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

// Rotate puts a log aside and has a new one begun. What was put aside before is
// compressed later: whoever writes fast does not wait for that.
func (r *Rotator) Rotate(ctx context.Context, log Log) error {
	old, err := r.rotated(log.Path)
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
	aside := r.asideName(log.Path, old)
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
	if len(old) > 0 {
		r.ask(log.Path)
	}
	return nil
}

// asideName is a name of this second, or of the one after the newest: a name
// tells the order, also of several in one second and after a clock was set back.
func (r *Rotator) asideName(path string, old []string) string {
	name := r.cfg.Clock.Now().Format(stamp)
	if len(old) > 0 {
		newest := strings.TrimSuffix(filepath.Base(old[len(old)-1]), compressed)[len(filepath.Base(path))+1:]
		if at, err := time.Parse(stamp, newest); err == nil && newest >= name {
			name = at.Add(time.Second).Format(stamp)
		}
	}
	return path + "." + name
}

// rotated lists what was put aside of a log, the oldest first, and removes what
// was left half done.
func (r *Rotator) rotated(path string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
		if full == r.packing+unfinished {
			continue
		}
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

func remove(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
