package host

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// sharer is the shared cache as the loops read it.
type sharer struct {
	cache.Cache
	informers informerSet
}

// Share implements loop.Sharer.
func (s sharer) Share(kind client.Object, options *client.ListOptions) (objects []any, known bool, err error) {
	informer := s.informers[loop.KeyOf(kind)]
	if informer == nil {
		return nil, false, nil
	}
	switch indexer := informer.GetIndexer(); {
	case options.Limit > 0 || options.Continue != "":
		return nil, false, nil
	case options.FieldSelector != nil:
		required := options.FieldSelector.Requirements()
		if len(required) != 1 {
			return nil, false, nil
		}
		index, value := indexed(required[0].Field, options.Namespace, required[0].Value)
		objects, err = indexer.ByIndex(index, value)
	case options.Namespace != "":
		objects, err = indexer.ByIndex(toolscache.NamespaceIndex, options.Namespace)
	default:
		objects = indexer.List()
	}
	if err != nil {
		return nil, true, fmt.Errorf("list %T: %w", kind, err)
	}
	return selected(objects, options.LabelSelector), true, nil
}

// selected keeps what the selector matches, in place: the indexer hands out a
// slice of its own to each caller.
func selected(objects []any, selector labels.Selector) []any {
	if selector == nil || selector.Empty() {
		return objects
	}
	kept := objects[:0]
	for _, obj := range objects {
		if o, ok := obj.(client.Object); ok && selector.Matches(labels.Set(o.GetLabels())) {
			kept = append(kept, obj)
		}
	}
	return kept
}

// indexed is where controller-runtime keeps its index of a field, and under
// which key; sharer_test.go compares with its own List.
func indexed(field, namespace, value string) (index, key string) {
	if namespace == "" {
		namespace = "__all_namespaces"
	}
	return "field:" + field, namespace + "/" + value
}
