package loop

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Sharer is a cache that can hand out its own objects. A list copies each of
// its items, about a kilobyte a pod, again in every pass over a set.
type Sharer interface {
	// Share returns the objects of a kind that the options select. Like List
	// of a cache it knows namespaces, labels and one declared index. known is
	// false for a kind that it does not hold.
	Share(kind client.Object, options *client.ListOptions) (objects []any, known bool, err error)
}

// List returns the objects that the options select, for a T such as
// *corev1.Pod; list is of that kind. The objects are shared: never change them.
func List[T client.Object](ctx context.Context, read client.Reader, list client.ObjectList, opts ...client.ListOption) ([]T, error) {
	if sharer, ok := read.(Sharer); ok {
		var kind T
		options := &client.ListOptions{}
		options.ApplyOptions(opts)
		shared, known, err := sharer.Share(kind, options)
		if err != nil {
			return nil, err
		}
		if known {
			all := make([]T, 0, len(shared))
			for _, obj := range shared {
				all = append(all, obj.(T))
			}
			return all, nil
		}
	}
	if err := read.List(ctx, list, opts...); err != nil {
		return nil, err
	}
	var all []T
	err := meta.EachListItem(list, func(obj runtime.Object) error {
		all = append(all, obj.(T))
		return nil
	})
	return all, err
}
