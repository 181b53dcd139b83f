package datastore

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/client/v3/kubernetes"
)

func held(context.Context) error { return nil }

// A server that took the lease, slept, and wakes up when another leads does not
// end the other's term, wherever on its way it fell asleep.
func TestBeginTermTooLate(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	client := guard(s.Client)
	lost := errors.New("lost")
	if _, err := s.BeginTerm(t.Context(), "a", func(context.Context) error { return lost }); !errors.Is(err, lost) {
		t.Errorf("began without the lease: %v", err)
	}
	var other Fence
	asked := 0
	_, err := s.BeginTerm(t.Context(), "a", func(ctx context.Context) (err error) {
		if asked++; asked > 1 {
			return lost
		}
		other, err = s.BeginTerm(ctx, "b", held) // the lease ran out right after it was read
		return err
	})
	if !errors.Is(err, lost) {
		t.Errorf("began over another's term: %v", err)
	}
	put, err := client.Kubernetes.OptimisticPut(WithFence(t.Context(), other), "/k", []byte("1"), 0, kubernetes.PutOptions{})
	if err != nil || !put.Succeeded {
		t.Errorf("the leader's write: %+v, %v", put, err)
	}
}

// What carries an earlier term's fence is not written, whatever the key holds;
// all else is as without fences.
func TestFence(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	client := guard(s.Client)
	first, err := s.BeginTerm(t.Context(), "a", held)
	if err != nil {
		t.Fatal(err)
	}
	mine := WithFence(t.Context(), first)
	get := kubernetes.PutOptions{GetOnFailure: true}
	put, err := client.Kubernetes.OptimisticPut(mine, "/k", []byte("1"), 0, get)
	if err != nil || !put.Succeeded {
		t.Fatalf("%+v, %v", put, err)
	}
	if late, err := client.Kubernetes.OptimisticPut(mine, "/k", []byte("2"), 0, get); err != nil || late.Succeeded || string(late.KV.Value) != "1" {
		t.Errorf("a write by an old revision: %+v, %v", late, err)
	}
	if late, err := client.Kubernetes.OptimisticDelete(mine, "/k", 1, kubernetes.DeleteOptions{GetOnFailure: true}); err != nil || late.Succeeded || string(late.KV.Value) != "1" {
		t.Errorf("a deletion by an old revision: %+v, %v", late, err)
	}

	second, err := s.BeginTerm(t.Context(), "b", held)
	if err != nil {
		t.Fatal(err)
	}
	for name, revision := range map[string]int64{"by the right revision": put.Revision, "by a wrong one": 1} {
		if _, err := client.Kubernetes.OptimisticPut(mine, "/k", []byte("2"), revision, get); !errors.Is(err, ErrFenced) {
			t.Errorf("a write of the former leader %s: %v", name, err)
		}
		if _, err := client.Kubernetes.OptimisticDelete(mine, "/k", revision, kubernetes.DeleteOptions{}); !errors.Is(err, ErrFenced) {
			t.Errorf("a deletion of the former leader %s: %v", name, err)
		}
	}
	if _, err := client.Kubernetes.OptimisticPut(mine, "/new", []byte("2"), 0, get); !errors.Is(err, ErrFenced) {
		t.Errorf("a new key of the former leader: %v", err)
	}
	got, err := client.Kubernetes.Get(mine, "/k", kubernetes.GetOptions{})
	if err != nil || string(got.KV.Value) != "1" {
		t.Errorf("after all that: %+v, %v", got, err)
	}
	if del, err := client.Kubernetes.OptimisticDelete(WithFence(t.Context(), second), "/k", put.Revision, kubernetes.DeleteOptions{}); err != nil || !del.Succeeded {
		t.Errorf("the new leader's deletion: %+v, %v", del, err)
	}
	if put, err := client.Kubernetes.OptimisticPut(t.Context(), "/k", []byte("3"), 0, get); err != nil || !put.Succeeded {
		t.Errorf("somebody else's write: %+v, %v", put, err)
	}
}
