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
	// touched, when set, remembers what was handed out so that changes to shared
	// objects are found.
	touched *[]touch
}

type indexKey struct {
	gvk   schema.GroupVersionKind
	field string
}

type touch struct{ shared, pristine client.Object }

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
	into(r.hand(found), obj)
	return nil
}

// hand gives an object out, remembering how it was.
func (r *reader) hand(obj client.Object) client.Object {
	if r.touched != nil {
		*r.touched = append(*r.touched, touch{shared: obj, pristine: clone(obj)})
	}
	return obj
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
			items = append(items, listItem(list, r.hand(obj)))
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

// mutated returns an error when a loop changed an object that it shares.
func mutated(touched []touch) error {
	for _, t := range touched {
		if !equality.Semantic.DeepEqual(t.shared, t.pristine) {
			return fmt.Errorf("%s %s/%s of the shared cache was changed in place",
				reflect.TypeOf(t.shared).Elem().Name(), t.shared.GetNamespace(), t.shared.GetName())
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
