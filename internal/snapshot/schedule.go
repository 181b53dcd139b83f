package snapshot

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
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
	Keep  int
	Take  func(context.Context, io.Writer) error
	Clock clock.Clock
	Log   *slog.Logger
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
		if err := p.once(ctx, next); err != nil && ctx.Err() == nil {
			p.Log.Error("no snapshot of the datastore was taken", "error", err)
		}
	}
}

func (p Plan) once(ctx context.Context, at time.Time) error {
	file, err := p.Folder.Path(Scheduled, at)
	if err != nil {
		return err
	}
	if err := Write(file, func(f *os.File) error { return p.Take(ctx, f) }); err != nil {
		return err
	}
	p.Log.Info("snapshot of the datastore taken", "file", file)
	return p.Folder.prune(p.Keep)
}
