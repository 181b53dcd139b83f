package sim

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// view is the shared cache's copy of one kind: it follows the store's log and
// may lag behind it.
type view struct {
	objects map[types.NamespacedName]client.Object
	next    int // the next entry of the log to follow
	version uint64
}

// reader answers reads from objects(gvk); nil objects mean that the kind is not held.
type reader struct {
	store   *store
	objects func(schema.GroupVersionKind) map[types.NamespacedName]client.Object
	indexes map[indexKey]func(client.Object) []string
	// handed, when set, is told what is handed out.
	handed func(client.Object)
}

type indexKey struct {
	gvk   schema.GroupVersionKind
	field string
}

var _ client.Reader = (*reader)(nil)

// NotHeld is the error for a read of a kind that no loop watches.
var errNotHeld = fmt.Errorf("no loop declares a watch of this kind, so the shared cache does not hold it")

func (r *reader) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	gvk, err := r.store.gvk(obj)
	if err != nil {
		return err
	}
	objects := r.objects(gvk)
	if objects == nil {
		return fmt.Errorf("get %s: %w", gvk.Kind, errNotHeld)
	}
	found := objects[key]
	if found == nil {
		return apierrors.NewNotFound(resource(gvk), key.Name)
	}
	if r.handed != nil {
		r.handed(found)
	}
	into(found, obj)
	return nil
}

func (r *reader) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	gvk, err := r.store.gvk(list)
	if err != nil {
		return err
	}
	gvk.Kind = gvk.Kind[:len(gvk.Kind)-len("List")]
	objects := r.objects(gvk)
	if objects == nil {
		return fmt.Errorf("list %s: %w", gvk.Kind, errNotHeld)
	}
	options := (&client.ListOptions{}).ApplyOptions(opts)
	var items []runtime.Object
	for _, obj := range sorted(objects) {
		ok, err := r.selects(gvk, options, obj)
		if err != nil {
			return err
		}
		if ok {
			if r.handed != nil {
				r.handed(obj)
			}
			items = append(items, listItem(list, obj))
		}
	}
	return apimeta.SetList(list, items)
}

// listItem is obj as an item of that list.
func listItem(list client.ObjectList, obj client.Object) runtime.Object {
	if _, partial := list.(*metav1.PartialObjectMetadataList); partial {
		return &metav1.PartialObjectMetadata{ObjectMeta: *metaOf(obj)}
	}
	return obj
}

func (r *reader) selects(gvk schema.GroupVersionKind, options *client.ListOptions, obj client.Object) (bool, error) {
	if options.Namespace != "" && options.Namespace != obj.GetNamespace() {
		return false, nil
	}
	if options.LabelSelector != nil && !options.LabelSelector.Matches(labels.Set(obj.GetLabels())) {
		return false, nil
	}
	if options.FieldSelector == nil {
		return true, nil
	}
	for _, want := range options.FieldSelector.Requirements() {
		var keys []string
		if index := r.indexes[indexKey{gvk, want.Field}]; index != nil {
			keys = index(obj)
		} else if want.Field == "metadata.name" {
			keys = []string{obj.GetName()}
		} else {
			return false, fmt.Errorf("list %s by %s: no loop declares that index", gvk.Kind, want.Field)
		}
		if !slices.Contains(keys, want.Value) {
			return false, nil
		}
	}
	return true, nil
}

// handOut remembers how a shared object was when a loop got it. It does so for
// one reconcile in four: a loop that mutates is found soon enough.
func (s *Sim) handOut(obj client.Object) {
	if s.steps%4 == 0 && s.handed[obj] == nil {
		s.handed[obj] = clone(obj)
	}
}

// mutated returns an error when a loop changed an object that it shares.
func (s *Sim) mutated() error {
	for shared, pristine := range s.handed {
		if !equality.Semantic.DeepEqual(shared, pristine) {
			return fmt.Errorf("%s %s/%s of the shared cache was changed in place",
				reflect.TypeOf(shared).Elem().Name(), shared.GetNamespace(), shared.GetName())
		}
	}
	return nil
}

// horizon implements loop.Horizon over the views.
type horizon struct{ sim *Sim }

func (h horizon) Seen(kind client.Object) uint64 {
	gvk, err := h.sim.store.gvk(kind)
	if err != nil {
		return 0
	}
	v := h.sim.views[gvk]
	if v == nil {
		return math.MaxUint64
	}
	return v.version
}

var _ loop.Horizon = horizon{}
