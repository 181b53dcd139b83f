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

// leaseOf is the lease that keeps a key, none when there is no key.
func leaseOf(t *testing.T, s *Store, key string) clientv3.LeaseID {
	t.Helper()
	got, err := s.Client.KV.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Kvs) == 0 {
		return clientv3.NoLease
	}
	return clientv3.LeaseID(got.Kvs[0].Lease)
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
	onlooking, stopLooking := context.WithCancel(t.Context())
	defer stopLooking()
	go s.Attend(onlooking, "", look)
	seen(t, lists)
	one, stopOne := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.attend(one, "192.0.2.1", 2*time.Second, silent); close(ended) }()
	seen(t, lists, "192.0.2.1")
	two, stopTwo := context.WithCancel(t.Context())
	go s.attend(two, "192.0.2.2", time.Hour, silent)
	seen(t, lists, "192.0.2.1", "192.0.2.2")

	// One that stops says so: nobody waits an hour for it.
	stopTwo()
	seen(t, lists, "192.0.2.1")

	// One that died is taken off by etcd.
	key := "/berth/registry/servers/192.0.2.1"
	first := leaseOf(t, s, key)
	life, err := s.Client.TimeToLive(t.Context(), first)
	if err != nil || life.GrantedTTL != 2 {
		t.Errorf("it is listed for %v after its last sign of life, %v", life, err)
	}
	// One that was taken off although it lives comes again.
	if _, err := s.Client.Revoke(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); leaseOf(t, s, key) == clientv3.NoLease; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come again")
		}
	}
	seen(t, lists, "192.0.2.1")

	// Who stops has left when Attend returns.
	stopOne()
	<-ended
	if left, err := s.Client.KV.Get(t.Context(), "/berth/registry/servers/", clientv3.WithPrefix()); err != nil || len(left.Kvs) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
