package datastore

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// seen waits for a list.
func seen(t *testing.T, lists <-chan []string, want ...string) {
	t.Helper()
	var last []string
	for {
		select {
		case last = <-lists:
			if slices.Equal(last, want) {
				return
			}
		case <-t.Context().Done():
		case <-time.After(time.Minute):
			t.Fatalf("last seen: %v, want %v", last, want)
		}
	}
}

func TestServersComeAndGo(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	lists := make(chan []string, 100)
	failed := false
	look := func(_ context.Context, names []string) error {
		if !failed { // a failure is made good
			failed = true
			return errors.New("not now")
		}
		lists <- names
		return nil
	}
	silent := func(context.Context, []string) error { return nil }
	one, stopOne := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.attend(one, "192.0.2.1", 2*time.Second, look); close(ended) }()
	seen(t, lists, "192.0.2.1")
	two, stopTwo := context.WithCancel(t.Context())
	go s.attend(two, "192.0.2.2", time.Minute, silent)
	seen(t, lists, "192.0.2.1", "192.0.2.2")

	// One that stops says so: nobody waits a minute for it.
	stopTwo()
	seen(t, lists, "192.0.2.1")

	// One that died is taken off.
	lease, err := s.Client.Grant(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	key := "/berth/registry/servers/192.0.2.3"
	if _, err := s.Client.Client.Put(t.Context(), key, "", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	seen(t, lists, "192.0.2.1", "192.0.2.3")
	seen(t, lists, "192.0.2.1")

	// One that was taken off although it lives comes again.
	own, err := s.Client.KV.Get(t.Context(), "/berth/registry/servers/192.0.2.1")
	if err != nil || len(own.Kvs) != 1 {
		t.Fatalf("%v, %v", own, err)
	}
	if _, err := s.Client.Revoke(t.Context(), clientv3.LeaseID(own.Kvs[0].Lease)); err != nil {
		t.Fatal(err)
	}
	seen(t, lists)
	seen(t, lists, "192.0.2.1")

	// Who stops has left when Attend returns.
	stopOne()
	<-ended
	if left, err := s.Client.KV.Get(t.Context(), "/berth/registry/servers/", clientv3.WithPrefix()); err != nil || len(left.Kvs) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
