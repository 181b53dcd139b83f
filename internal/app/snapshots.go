package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/keyring"
	"berth.dev/berth/internal/member"
	"berth.dev/berth/internal/snapshot"
)

// snapshots hands copies of the datastore out.
func (s *server) snapshots(store *datastore.Store) map[string]apiserver.Handler {
	take := func(ctx context.Context, w io.Writer) error { return s.snapshot(ctx, store, w) }
	all := map[string]apiserver.Handler{snapshot.Path: {Handler: snapshot.Handler(take), LongRunning: true}}
	if s.scheduled() {
		bucket := ""
		if c := s.cfg.SnapshotS3; c.Bucket != "" {
			bucket = c.URL(s.offsite(nil).Under)
		}
		s.report = snapshot.NewReport(s.snapshotFolder(), bucket)
		all[snapshot.StatePath] = apiserver.Handler{Handler: s.report}
	}
	return all
}

// snapshot writes a copy of the datastore, with the cluster's keys in it.
func (s *server) snapshot(ctx context.Context, store *datastore.Store, w io.Writer) error {
	ring := s.keyring(keyring.Token{})
	ring.KV, ring.Prefix = store.Client.KV, store.Prefix
	if err := ring.Sync(ctx); err != nil {
		return err
	}
	return store.Snapshot(ctx, w)
}

// scheduled says whether this server takes snapshots by itself.
func (s *server) scheduled() bool {
	return s.cfg.SnapshotSchedule != "" && len(s.cfg.DatastoreEndpoints) == 0
}

// runSnapshots takes copies of the embedded datastore at their times, and copies
// of these into the bucket.
func (s *server) runSnapshots(ctx context.Context, ready func()) error {
	ready()
	if !s.scheduled() {
		return nil
	}
	taken := make(chan struct{}, 1)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		return snapshot.Plan{
			Folder: s.snapshotFolder(), Schedule: s.cfg.SnapshotSchedule, Keep: s.cfg.SnapshotRetention, Clock: clock.RealClock{}, Log: s.log,
			Take: func(ctx context.Context, w io.Writer) error { return s.snapshot(ctx, s.store, w) }, Report: s.report, Taken: taken,
		}.Run(ctx)
	})
	if s.cfg.SnapshotS3.Bucket != "" {
		all.Go(func() error { return s.offsite(taken).Run(ctx) })
	}
	return all.Wait()
}

func (s *server) snapshotFolder() snapshot.Folder {
	if s.cfg.SnapshotDir != "" {
		return snapshot.Folder(s.cfg.SnapshotDir)
	}
	return snapshot.Folder(s.dir.Snapshots())
}

// Snapshot writes a copy of the embedded datastore of a server that does not run.
func Snapshot(ctx context.Context, dir datadir.Dir, w io.Writer) (err error) {
	m, err := member.Read(dir.Member())
	if err != nil {
		return err
	}
	if m.State == member.Joined {
		return errors.New("this server is one of several and does not run; take the snapshot on one that runs")
	}
	if _, err := os.Stat(dir.Etcd()); err != nil {
		return fmt.Errorf("no cluster in %s: %w", dir.Path(), err)
	}
	release, err := lock(dir)
	if err != nil {
		return err
	}
	defer release()
	return stopped(ctx, dir.Etcd(), datastore.Self{Name: m.Server}, func(store *datastore.Store) error {
		sealed, err := keysIn(store).Sealed(ctx)
		if err != nil {
			return err
		}
		if sealed == nil {
			return errors.New("the cluster's keys are not in its datastore yet; start the server once")
		}
		return store.Snapshot(ctx, w)
	})
}

// stopped opens the datastore of a server that does not run.
func stopped(ctx context.Context, folder string, self datastore.Self, act func(*datastore.Store) error) (err error) {
	store, err := datastore.Open(ctx, datastore.Config{Dir: folder, Self: self})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.WaitReady(ctx); err != nil {
		return err
	}
	return act(store)
}

func keysIn(store *datastore.Store) keyring.Config {
	return keyring.Config{KV: store.Client.KV, Prefix: store.Prefix}
}

// Source is a snapshot that is restored.
type Source struct {
	// Name is what to call it: a file, unless there is Fetch.
	Name string
	// Fetch writes it when it is somewhere else.
	Fetch func(context.Context, io.Writer) error
}

// file is the snapshot's file. What is fetched goes where done removes it.
func (s Source) file(ctx context.Context, dir datadir.Dir) (name string, done func() error, err error) {
	if s.Fetch == nil {
		return s.Name, func() error { return nil }, nil
	}
	name = dir.Etcd() + ".fetched"
	done = func() error { return os.Remove(name) }
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", nil, err
	}
	if err = errors.Join(s.Fetch(ctx, f), f.Close()); err != nil {
		return "", nil, errors.Join(err, done())
	}
	return name, done, nil
}

// Restore makes the datastore of a server on dir, which has none, from a
// snapshot. token opens the cluster's keys in it; when it is empty dir's own does.
// When it fails nothing has changed.
func Restore(ctx context.Context, dir datadir.Dir, from Source, token keyring.Token) (err error) {
	if holder := Holder(dir); holder != 0 {
		return inUse(dir, holder)
	}
	if _, err := os.Stat(memoryFile(dir)); err == nil {
		return fmt.Errorf("%s is the data directory of a node that joined with `berth agent`; choose another --data-dir", dir.Path())
	}
	if _, err := os.Lstat(dir.Etcd()); err == nil {
		return fmt.Errorf("%s holds a cluster; move it away first (mv %s %s.before), or choose another --data-dir", dir.Etcd(), dir.Etcd(), dir.Etcd())
	}
	if err := dir.Create(); err != nil {
		return fmt.Errorf("data directory: %w; choose a writable one with --data-dir", err)
	}
	release, err := lock(dir)
	if err != nil {
		return err
	}
	defer release()
	// Made beside its place, and put there when everything else has worked.
	fresh := dir.Etcd() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(fresh))
		}
	}()
	file, done, err := from.file(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := datastore.Restore(file, fresh); err != nil {
		return err
	}
	err = stopped(ctx, fresh, datastore.Self{}, func(store *datastore.Store) error {
		ring := keysIn(store)
		ring.Dir, ring.TokenFile, ring.Token = dir.PKI(), dir.ServerToken(), token
		return ring.Restored(ctx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", from.Name, err)
	}
	if err := os.Remove(dir.Member()); err != nil && !errors.Is(err, os.ErrNotExist) { // it is the only server now
		return err
	}
	return os.Rename(fresh, dir.Etcd())
}
