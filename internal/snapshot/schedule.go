package snapshot

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/utils/clock"
)

// Plan says when snapshots are taken, and of what.
type Plan struct {
	Folder Folder
	// Schedule is a cron line, as a CronJob's, in the machine's time zone.
	Schedule string
	// Keep is how many scheduled snapshots are kept, 1 or more.
	Keep   int
	Take   func(context.Context, io.Writer) error
	Clock  clock.Clock
	Log    *slog.Logger
	Report *Report
	// Taken is told of each that was taken, if anybody wants to know.
	Taken chan<- struct{}
}

// Parse checks a cron line.
func Parse(schedule string) (cron.Schedule, error) {
	s, err := cron.ParseStandard(schedule)
	if err != nil {
		return nil, fmt.Errorf("%q is no cron schedule: %w", schedule, err)
	}
	return s, nil
}

// Run takes snapshots until ctx ends. One that fails is logged; the next is taken
// at its time, and nothing older is removed before that has worked.
func (p Plan) Run(ctx context.Context) error {
	schedule, err := Parse(p.Schedule)
	if err != nil {
		return err
	}
	for {
		now := p.Clock.Now()
		next := schedule.Next(now)
		if next.IsZero() {
			return fmt.Errorf("%q never comes", p.Schedule)
		}
		timer := p.Clock.NewTimer(next.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
		taken, err := p.once(ctx, next)
		if ctx.Err() != nil {
			return nil
		}
		p.Report.folder(taken, err, p.Clock.Now())
		if err != nil {
			p.Log.Error("no snapshot of the datastore was taken", "error", err)
		}
		select {
		case p.Taken <- struct{}{}:
		default: // nobody wants to know, or has not come to it yet
		}
	}
}

// once takes a snapshot, and is the name of it.
func (p Plan) once(ctx context.Context, at time.Time) ([]string, error) {
	file, err := p.Folder.Path(Scheduled, at)
	if err != nil {
		return nil, err
	}
	if err := Write(file, func(f *os.File) error { return p.Take(ctx, f) }); err != nil {
		return nil, err
	}
	p.Log.Info("snapshot of the datastore taken", "file", file)
	return []string{filepath.Base(file)}, p.Folder.prune(p.Keep)
}
