package host

import (
	"context"
	"fmt"
	"math"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// informerSet holds the informer of every kind in the shared cache. It is filled
// before the cache starts and only read afterwards.
type informerSet map[loop.KindKey]toolscache.SharedIndexInformer

func (s informerSet) add(ctx context.Context, shared cache.Cache, kind client.Object) error {
	key := loop.KeyOf(kind)
	if s[key] != nil {
		return nil
	}
	informer, err := shared.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	indexed, ok := informer.(toolscache.SharedIndexInformer)
	if !ok {
		return fmt.Errorf("the cache's informer is a %T, not a SharedIndexInformer", informer)
	}
	s[key] = indexed
	return nil
}

// Seen implements loop.Horizon by what the informer's store holds.
func (s informerSet) Seen(kind client.Object) uint64 {
	informer := s[loop.KeyOf(kind)]
	if informer == nil {
		return math.MaxUint64
	}
	version := informer.GetIndexer().LastStoreSyncResourceVersion()
	if version == "" && informer.HasSynced() {
		return math.MaxUint64 // client-go's AtomicFIFO is off: it does not say, so never wait for it
	}
	return loop.Version(version)
}

func (s informerSet) checkers() []toolscache.DoneChecker {
	all := make([]toolscache.DoneChecker, 0, len(s))
	for _, informer := range s {
		all = append(all, informer.HasSyncedChecker())
	}
	return all
}
