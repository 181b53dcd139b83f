package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"time"

	"k8s.io/utils/clock"

	"berth.dev/berth/internal/plan/offsite"
)

// Store is a place elsewhere. Keys in it have slashes.
type Store interface {
	// List are the names of what lies in a folder; not what is in folders below it.
	List(ctx context.Context, folder string) ([]string, error)
	// Send copies a snapshot's file there, whole or not at all.
	Send(ctx context.Context, key, file string) error
	// Remove removes a copy that Send has put there for this cluster, and fails
	// for anything else.
	Remove(ctx context.Context, key string) error
	// Tidy removes what broken uploads have left in a folder.
	Tidy(ctx context.Context, folder string) error
}

// Offsite keeps copies of the scheduled snapshots of a folder somewhere else.
type Offsite struct {
	Folder Folder
	// Open makes the place ready, anew for each turn: who may use it and how may
	// have changed since.
	Open func(context.Context) (Store, error)
	// Under is the folder there. It is this server's alone.
	Under string
	// Keep is how many are kept there; 0 keeps all.
	Keep   int
	Clock  clock.Clock
	Log    *slog.Logger
	Report *Report
	// Taken tells of a new snapshot.
	Taken <-chan struct{}
}

// What has failed is tried again after a minute, and then ever less often.
const (
	firstAgain = time.Minute
	lastAgain  = time.Hour
)

// Run copies what is not there yet: at first, after each snapshot, and again
// when it has failed. It fails never; what was wrong is logged and in Report.
func (o Offsite) Run(ctx context.Context) error {
	again := firstAgain
	for {
		there, err := o.turn(ctx)
		if ctx.Err() != nil {
			return nil
		}
		o.Report.bucket(there, err, o.Clock.Now())
		if err == nil {
			again = firstAgain
			select {
			case <-ctx.Done():
				return nil
			case <-o.Taken:
			}
			continue
		}
		o.Log.Error("snapshots are not copied; they stay where they are", "folder", string(o.Folder), "error", err, "again", again)
		timer := o.Clock.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
			again = min(2*again, lastAgain)
		case <-o.Taken:
			timer.Stop()
		}
	}
}

// turn makes the place as it should be, and is what is there then.
func (o Offsite) turn(ctx context.Context) (there []string, err error) {
	all, err := o.Folder.List()
	if err != nil {
		return nil, err
	}
	store, err := o.Open(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := store.List(ctx, o.Under)
	if err != nil {
		return nil, err
	}
	if err := store.Tidy(ctx, o.Under); err != nil && ctx.Err() == nil {
		o.Log.Debug("parts of broken uploads may be left in the bucket", "error", err)
	}
	for _, name := range listed {
		if f, ok := Parsed(name); ok && f.Why == Scheduled {
			there = append(there, name)
		}
	}
	plan := offsite.Decide(scheduledOf(all), there, o.Keep)
	var failed []error
	for _, name := range plan.Send {
		err := store.Send(ctx, path.Join(o.Under, name), filepath.Join(string(o.Folder), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			continue
		}
		there = append(there, name)
		o.Log.Info("snapshot copied", "name", name, "to", o.Under)
	}
	if len(failed) > 0 {
		return there, joined(failed)
	}
	for _, name := range plan.Remove {
		if err := store.Remove(ctx, path.Join(o.Under, name)); err != nil {
			failed = append(failed, fmt.Errorf("%s cannot be removed: %w", name, err))
		}
	}
	return there, joined(failed)
}

// joined is one line for several errors, which are often the same.
func joined(all []error) error {
	if len(all) < 2 {
		return errors.Join(all...)
	}
	return fmt.Errorf("%w; and %d more", all[0], len(all)-1)
}

func scheduledOf(all []File) (names []string) {
	for _, f := range all {
		if f.Why == Scheduled {
			names = append(names, f.Name)
		}
	}
	return names
}
