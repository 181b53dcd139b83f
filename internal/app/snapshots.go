package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

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
	return map[string]apiserver.Handler{snapshot.Path: {Handler: snapshot.Handler(take), LongRunning: true}}
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

// runSnapshots takes copies of the embedded datastore at their times.
func (s *server) runSnapshots(ctx context.Context, ready func()) error {
	ready()
	if s.cfg.SnapshotSchedule == "" || len(s.cfg.DatastoreEndpoints) > 0 {
		return nil
	}
	return snapshot.Plan{
		Folder: s.snapshotFolder(), Schedule: s.cfg.SnapshotSchedule, Keep: s.cfg.SnapshotRetention, Clock: clock.RealClock{}, Log: s.log,
		Take: func(ctx context.Context, w io.Writer) error { return s.snapshot(ctx, s.store, w) },
	}.Run(ctx)
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

// Restore makes the datastore of a server on dir, which has none, from a
// snapshot. token opens the cluster's keys in it; when it is empty dir's own does.
// When it fails nothing has changed.
func Restore(ctx context.Context, dir datadir.Dir, file string, token keyring.Token) (err error) {
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
	if err := datastore.Restore(file, fresh); err != nil {
		return err
	}
	err = stopped(ctx, fresh, datastore.Self{}, func(store *datastore.Store) error {
		ring := keysIn(store)
		ring.Dir, ring.TokenFile, ring.Token = dir.PKI(), dir.ServerToken(), token
		return ring.Restored(ctx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.Remove(dir.Member()); err != nil && !errors.Is(err, os.ErrNotExist) { // it is the only server now
		return err
	}
	return os.Rename(fresh, dir.Etcd())
}
