package loop

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kinds lets a loop follow kinds that appear while it runs, those of custom
// resources. Several loops may follow one kind; they share its watch.
type Kinds interface {
	// Follow keeps the objects of a kind in Env.Cache by their metadata, and
	// sends their events through watch.Map as if the loop had declared it.
	Follow(ctx context.Context, resource schema.GroupVersionResource, namespaced bool, watch Watch, indexes ...Index) error
	// Drop ends that for this loop.
	Drop(ctx context.Context, kind client.Object) error
	// Synced says that Env.Cache answers for a followed kind; before, reads wait.
	Synced(kind client.Object) bool
}
