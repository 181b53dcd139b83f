package datastore

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// gate holds calls back until the embedded member leads, so that the server
// can be built meanwhile: a call before the election would fail with
// "leader changed" and be retried much later.
type gate <-chan struct{}

func (g gate) wait(ctx context.Context) error {
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type gatedKV struct {
	clientv3.KV
	gate gate
}

func (k gatedKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if err := k.gate.wait(ctx); err != nil {
		return nil, err
	}
	for {
		got, err := k.KV.Get(ctx, key, opts...)
		if !leaderChanged(err) || ctx.Err() != nil {
			return got, err
		}
	}
}

// leaderChanged says that members have elected another leader while a read was
// under way: asked again it waits for that one. Clients over the network do so by
// themselves. A write does not end like this.
func leaderChanged(err error) bool { return errors.Is(err, rpctypes.ErrLeaderChanged) }

func (k gatedKV) Put(ctx context.Context, key, value string, opts ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	if err := k.gate.wait(ctx); err != nil {
		return nil, err
	}
	return k.KV.Put(ctx, key, value, opts...)
}

func (k gatedKV) Txn(ctx context.Context) clientv3.Txn {
	_ = k.gate.wait(ctx) // the commit reports an ended context
	return k.KV.Txn(ctx)
}

func (k gatedKV) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	if err := k.gate.wait(ctx); err != nil {
		return clientv3.OpResponse{}, err
	}
	return k.KV.Do(ctx, op)
}

type gatedWatcher struct {
	clientv3.Watcher
	gate gate
}

func (w gatedWatcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	_ = w.gate.wait(ctx) // an ended context closes the channel
	return w.Watcher.Watch(ctx, key, opts...)
}
