package datastore

import (
	"context"
	"errors"
	"fmt"
	"path"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrTurn is what a write gets before which another server made one that it may
// depend on. Nothing was written; decide again.
var ErrTurn = errors.New("another server made a change at the same moment, so nothing was written")

// Turns lets writes that are decided by looking at many objects follow one
// another, on whichever servers they are decided: each succeeds only if none
// other was made since its turn was taken. etcd compares and counts in the
// transaction of the write, so no lock is left behind by who dies.
type Turns struct {
	store *Store
	key   string
}

// turn is that of one request.
type turn struct {
	key      string
	revision int64
}

type turnKey struct{}

// Turns are all writes that depend on one another under a name.
func (s *Store) Turns(name string) *Turns {
	return &Turns{store: s, key: path.Join("/berth", s.Prefix, "turns", name)}
}

// WithTurn returns the context of a request that may take a turn.
func WithTurn(ctx context.Context) context.Context { return context.WithValue(ctx, turnKey{}, &turn{}) }

// Take makes the writes of a request depend on all others since now. What they
// are decided by is to be read after it.
func (t *Turns) Take(ctx context.Context) error {
	mine, ok := ctx.Value(turnKey{}).(*turn)
	if !ok {
		return errors.New("this request cannot take a turn: its context was not made for one")
	}
	last, err := t.store.Client.KV.Get(ctx, t.key, clientv3.WithKeysOnly())
	if err != nil {
		return fmt.Errorf("take a turn: %w", err)
	}
	*mine = turn{key: t.key}
	if len(last.Kvs) == 1 {
		mine.revision = last.Kvs[0].ModRevision
	}
	return nil
}

// conditions are what a write depends on besides its own key.
type conditions struct {
	fence Fence
	turn  turn
}

func conditionsOf(ctx context.Context) (conditions, bool) {
	var c conditions
	c.fence, _ = ctx.Value(fenceKey{}).(Fence)
	if t, ok := ctx.Value(turnKey{}).(*turn); ok {
		c.turn = *t
	}
	return c, c != conditions{}
}

// write makes one write under conditions. When it was not made because of its
// key, the first answer is what that holds.
func (c conditions) write(ctx context.Context, kv clientv3.KV, key string, expected int64, op clientv3.Op) (*clientv3.TxnResponse, error) {
	compare := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", expected)}
	then, otherwise := []clientv3.Op{op}, []clientv3.Op{clientv3.OpGet(key)}
	type condition struct {
		revision int64
		err      error
	}
	var all []condition
	on := func(key string, revision int64, err error) {
		compare = append(compare, clientv3.Compare(clientv3.ModRevision(key), "=", revision))
		otherwise = append(otherwise, clientv3.OpGet(key, clientv3.WithKeysOnly()))
		all = append(all, condition{revision, err})
	}
	if c.fence.key != "" {
		on(c.fence.key, c.fence.revision, ErrFenced)
	}
	if c.turn.key != "" {
		on(c.turn.key, c.turn.revision, ErrTurn)
		then = append(then, clientv3.OpPut(c.turn.key, ""))
	}
	txn, err := kv.Txn(ctx).If(compare...).Then(then...).Else(otherwise...).Commit()
	if err != nil || txn.Succeeded {
		return txn, err
	}
	for i, want := range all {
		var revision int64
		if kvs := txn.Responses[i+1].GetResponseRange().Kvs; len(kvs) == 1 {
			revision = kvs[0].ModRevision
		}
		if revision != want.revision {
			return nil, want.err
		}
	}
	return txn, nil
}
