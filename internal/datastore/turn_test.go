package datastore

import (
	"errors"
	"testing"

	"go.etcd.io/etcd/client/v3/kubernetes"
)

// Of writes whose turns began at the same state one is made; with a fence too,
// it is said which of both kept a write back.
func TestTurns(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	client := guard(s.Client)
	turns := s.Turns("things")
	if err := turns.Take(t.Context()); err == nil {
		t.Error("a turn of a request that cannot have one")
	}
	a, b, other := WithTurn(t.Context()), WithTurn(t.Context()), WithTurn(t.Context())
	for _, err := range []error{turns.Take(a), turns.Take(b), s.Turns("others").Take(other)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	get := kubernetes.PutOptions{GetOnFailure: true}
	if put, err := client.Kubernetes.OptimisticPut(a, "/a", []byte("1"), 0, get); err != nil || !put.Succeeded {
		t.Fatalf("the first: %+v, %v", put, err)
	}
	if _, err := client.Kubernetes.OptimisticPut(b, "/b", []byte("1"), 0, get); !errors.Is(err, ErrTurn) {
		t.Errorf("the second: %v", err)
	}
	if put, err := client.Kubernetes.OptimisticPut(other, "/c", []byte("1"), 0, get); err != nil || !put.Succeeded {
		t.Errorf("what depends on other things: %+v, %v", put, err)
	}
	if err := turns.Take(b); err != nil {
		t.Fatal(err)
	}
	if put, err := client.Kubernetes.OptimisticPut(b, "/a", []byte("2"), 0, get); err != nil || put.Succeeded || string(put.KV.Value) != "1" {
		t.Errorf("by an old revision: %+v, %v", put, err)
	}
	mine, err := s.BeginTerm(t.Context(), "a", held)
	if err != nil {
		t.Fatal(err)
	}
	late := WithTurn(WithFence(t.Context(), mine))
	if err := turns.Take(late); err != nil {
		t.Fatal(err)
	}
	if put, err := client.Kubernetes.OptimisticPut(b, "/b", []byte("2"), 0, get); err != nil || !put.Succeeded {
		t.Fatalf("the second, again: %+v, %v", put, err)
	}
	if _, err := client.Kubernetes.OptimisticPut(late, "/d", []byte("1"), 0, get); !errors.Is(err, ErrTurn) {
		t.Errorf("the leader's, too late: %v", err)
	}
	if _, err := s.BeginTerm(t.Context(), "b", held); err != nil {
		t.Fatal(err)
	}
	if err := turns.Take(late); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Kubernetes.OptimisticPut(late, "/d", []byte("1"), 0, get); !errors.Is(err, ErrFenced) {
		t.Errorf("a former leader's: %v", err)
	}
}
