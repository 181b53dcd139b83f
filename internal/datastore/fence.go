package datastore

import (
	"context"
	"errors"
	"fmt"
	"path"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

// ErrFenced is what a write gets whose writer leads no more. Nothing was written.
var ErrFenced = errors.New("another server leads now, so nothing was written")

// Fence is one term of leadership as the datastore knows it. A write that
// carries it succeeds only while no later term has begun: etcd compares, in the
// transaction of the write. A process that slept through its end of office can
// harm nobody.
type Fence struct {
	key      string
	revision int64
}

type fenceKey struct{}

// WithFence makes the writes of ctx carry f.
func WithFence(ctx context.Context, f Fence) context.Context {
	return context.WithValue(ctx, fenceKey{}, f)
}

// BeginTerm ends all earlier terms and begins one. held asks, by a consistent
// read, whether the caller holds the lease still, and its error ends the try: a
// process that slept since it took the lease must not end the term of whoever
// has taken it since. So the term begins only if no other began after held said yes.
func (s *Store) BeginTerm(ctx context.Context, leader string, held func(context.Context) error) (Fence, error) {
	key := path.Join("/berth", s.Prefix, "leader")
	for {
		before, err := s.Client.KV.Get(ctx, key, clientv3.WithKeysOnly())
		if err != nil {
			return Fence{}, fmt.Errorf("begin to lead: %w", err)
		}
		var last int64
		if len(before.Kvs) == 1 {
			last = before.Kvs[0].ModRevision
		}
		if err := held(ctx); err != nil {
			return Fence{}, fmt.Errorf("begin to lead: %w", err)
		}
		put, err := s.Client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", last)).Then(clientv3.OpPut(key, leader)).Commit()
		if err != nil {
			return Fence{}, fmt.Errorf("begin to lead: %w", err)
		}
		if put.Succeeded {
			return Fence{key: key, revision: put.Header.Revision}, nil
		}
	}
}

// fenced adds the comparisons to the writes that carry a fence or have a turn.
type fenced struct {
	kubernetes.Interface
	kv func() clientv3.KV
}

// guard makes a client heed fences and turns.
func guard(c *kubernetes.Client) *kubernetes.Client {
	c.Kubernetes = fenced{Interface: c.Kubernetes, kv: func() clientv3.KV { return c.KV }}
	return c
}

// OptimisticPut implements kubernetes.Interface.
func (f fenced) OptimisticPut(ctx context.Context, key string, value []byte, expected int64, opts kubernetes.PutOptions) (kubernetes.PutResponse, error) {
	conditions, ok := conditionsOf(ctx)
	if !ok {
		return f.Interface.OptimisticPut(ctx, key, value, expected, opts)
	}
	txn, err := conditions.write(ctx, f.kv(), key, expected, clientv3.OpPut(key, string(value), clientv3.WithLease(opts.LeaseID)))
	if err != nil {
		return kubernetes.PutResponse{}, err
	}
	out := kubernetes.PutResponse{Succeeded: txn.Succeeded, Revision: txn.Header.Revision}
	if opts.GetOnFailure && !txn.Succeeded {
		if kvs := txn.Responses[0].GetResponseRange().Kvs; len(kvs) == 1 {
			out.KV = kvs[0]
		}
	}
	return out, nil
}

// OptimisticDelete implements kubernetes.Interface.
func (f fenced) OptimisticDelete(ctx context.Context, key string, expected int64, opts kubernetes.DeleteOptions) (kubernetes.DeleteResponse, error) {
	conditions, ok := conditionsOf(ctx)
	if !ok {
		return f.Interface.OptimisticDelete(ctx, key, expected, opts)
	}
	txn, err := conditions.write(ctx, f.kv(), key, expected, clientv3.OpDelete(key))
	if err != nil {
		return kubernetes.DeleteResponse{}, err
	}
	out := kubernetes.DeleteResponse{Succeeded: txn.Succeeded, Revision: txn.Header.Revision}
	if opts.GetOnFailure && !txn.Succeeded {
		if kvs := txn.Responses[0].GetResponseRange().Kvs; len(kvs) == 1 {
			out.KV = kvs[0]
		}
	}
	return out, nil
}
