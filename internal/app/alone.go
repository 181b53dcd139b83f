package app

import (
	"context"
	"fmt"
	"os"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/member"
)

// Alone makes the server on dir, which does not run, the only one of its cluster:
// the others are lost.
func Alone(ctx context.Context, dir datadir.Dir) error {
	m, err := member.Read(dir.Member())
	if err != nil {
		return err
	}
	if m.State != member.Joined {
		return fmt.Errorf("the server in %s is not one of several; start it with `berth server`", dir.Path())
	}
	release, err := lock(dir)
	if err != nil {
		return err
	}
	defer release()
	self := datastore.Self{Name: m.Server, Alone: true}
	if err := stopped(ctx, dir.Etcd(), self, func(*datastore.Store) error { return nil }); err != nil {
		return err
	}
	return os.Remove(dir.Member())
}
