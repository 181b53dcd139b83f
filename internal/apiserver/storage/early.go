package storage

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// early is what a watch cache sees of etcd: a watch from version R begins at R,
// and what happened at R is left out again.
//
// A watch that begins after R waits for a revision that is yet to come while
// nobody writes, and until then etcd reports no progress to any watch of the
// connection. Reads that wait for the other caches to confirm that they are up
// to date would then hang until somebody writes.
type early struct{ storage.Interface }

// IsWatchListSemanticsUnSupported has the cache list first, and then watch from
// a version that is known.
func (early) IsWatchListSemanticsUnSupported() bool { return true }

// Watch implements storage.Interface.
func (e early) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	from, err := e.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if err != nil || from < 2 || opts.SendInitialEvents != nil {
		return e.Interface.Watch(ctx, key, opts)
	}
	opts.ResourceVersion = strconv.FormatUint(from-1, 10)
	w, err := e.Interface.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	return newSieve(w, func(event watch.Event) bool {
		if event.Type == watch.Bookmark || event.Type == watch.Error {
			return true
		}
		at, err := e.Versioner().ObjectResourceVersion(event.Object)
		return err != nil || at > from
	}), nil
}
