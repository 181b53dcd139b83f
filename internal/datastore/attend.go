package datastore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// AwayAfter is how long a server that gives no sign of life is still listed.
	AwayAfter = 15 * time.Second
	// attendAgain is the pause after a failure.
	attendAgain = time.Second
	// leaveWithin bounds how long a server that stops tries to say so.
	leaveWithin = time.Second
)

// Attend lists name among the servers that share the datastore until ctx ends,
// and calls changed with all names at first and whenever one comes or goes. etcd
// takes a name off the list when its server is silent. When changed fails it is
// called again. An empty name only looks on.
func (s *Store) Attend(ctx context.Context, name string, changed func(context.Context, []string) error) {
	s.attend(ctx, name, AwayAfter, changed)
}

func (s *Store) attend(ctx context.Context, name string, away time.Duration, changed func(context.Context, []string) error) {
	for {
		err := s.attendOnce(ctx, name, away, changed)
		if ctx.Err() != nil {
			return
		}
		slog.DebugContext(ctx, "the list of servers is followed anew", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(attendAgain):
		}
	}
}

func (s *Store) attendOnce(ctx context.Context, name string, away time.Duration, changed func(context.Context, []string) error) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	client, root := s.Client.Client, path.Join("/berth", s.Prefix, "servers")+"/"
	var signs <-chan *clientv3.LeaseKeepAliveResponse // nil: never
	if name != "" {
		lease, err := client.Grant(within, int64(away/time.Second))
		if err != nil {
			return fmt.Errorf("list this server: %w", err)
		}
		defer func() {
			if ctx.Err() == nil {
				return // the next attempt takes the name over
			}
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
			defer cancel()
			_, _ = client.Revoke(leaving, lease.ID) // it runs out by itself
		}()
		if _, err := client.Put(within, root+name, "", clientv3.WithLease(lease.ID)); err != nil {
			return fmt.Errorf("list this server: %w", err)
		}
		if signs, err = client.KeepAlive(within, lease.ID); err != nil {
			return fmt.Errorf("keep this server listed: %w", err)
		}
	}
	list, err := client.Get(within, root, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return fmt.Errorf("list the servers: %w", err)
	}
	names := map[string]bool{}
	for _, kv := range list.Kvs {
		names[strings.TrimPrefix(string(kv.Key), root)] = true
	}
	events := client.Watch(within, root, clientv3.WithPrefix(), clientv3.WithRev(list.Header.Revision+1))
	if err := changed(within, slices.Sorted(maps.Keys(names))); err != nil {
		return err
	}
	for {
		select {
		case _, ok := <-signs:
			if !ok {
				return errors.New("this server was not heard of for too long")
			}
		case r, ok := <-events:
			if !ok || r.Err() != nil {
				return fmt.Errorf("the watch of the servers ended: %w", r.Err())
			}
			before := len(names)
			same := true
			for _, e := range r.Events {
				n := strings.TrimPrefix(string(e.Kv.Key), root)
				same = same && names[n] == (e.Type == clientv3.EventTypePut)
				if e.Type == clientv3.EventTypePut {
					names[n] = true
				} else {
					delete(names, n)
				}
			}
			if same && before == len(names) {
				continue
			}
			if err := changed(within, slices.Sorted(maps.Keys(names))); err != nil {
				return err
			}
		}
	}
}
