package sim

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// store is the simulated API server's storage: the newest version of every
// object, and per kind the log of changes that caches follow. What is stored is
// never changed in place.
type store struct {
	scheme  *runtime.Scheme
	clock   *Clock
	fill    func(client.Object) // defaults
	version uint64
	uids    int
	kinds   map[schema.GroupVersionKind]*kindStore
}

type kindStore struct {
	objects map[types.NamespacedName]client.Object
	log     []change
}

// change is one watch event: Old nil on create, New nil on delete.
type change struct {
	version  uint64
	old, new client.Object
}

func (s *store) gvk(obj runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(obj, s.scheme)
}

func (s *store) kind(gvk schema.GroupVersionKind) *kindStore {
	k := s.kinds[gvk]
	if k == nil {
		k = &kindStore{objects: map[types.NamespacedName]client.Object{}}
		s.kinds[gvk] = k
	}
	return k
}

// resource is the name of a kind in error messages.
func resource(gvk schema.GroupVersionKind) schema.GroupResource {
	plural, _ := meta(gvk)
	return plural
}

// put stores obj as the newest version and logs the change.
func (s *store) put(gvk schema.GroupVersionKind, old, obj client.Object) {
	k := s.kind(gvk)
	s.version++
	obj.SetResourceVersion(strconv.FormatUint(s.version, 10))
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	k.objects[client.ObjectKeyFromObject(obj)] = obj
	k.log = append(k.log, change{version: s.version, old: old, new: obj})
}

// remove takes obj out of the store.
func (s *store) remove(gvk schema.GroupVersionKind, obj client.Object) {
	k := s.kind(gvk)
	s.version++
	delete(k.objects, client.ObjectKeyFromObject(obj))
	last := clone(obj)
	last.SetResourceVersion(strconv.FormatUint(s.version, 10))
	k.log = append(k.log, change{version: s.version, old: last})
}

// stamp makes obj a new object.
func (s *store) stamp(obj client.Object) {
	s.uids++
	if obj.GetName() == "" && obj.GetGenerateName() != "" {
		obj.SetName(obj.GetGenerateName() + strconv.Itoa(s.uids))
	}
	obj.SetUID(types.UID(fmt.Sprintf("uid-%d", s.uids)))
	obj.SetCreationTimestamp(metav1.NewTime(s.clock.Now()))
	obj.SetGeneration(1)
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	if hasStatusSubresource(obj) {
		setField(obj, "Status", nil)
	}
	if s.fill != nil {
		s.fill(obj)
	}
	switch o := obj.(type) {
	case *corev1.Pod:
		o.Status.Phase = corev1.PodPending
	case *corev1.PersistentVolumeClaim:
		o.Status.Phase = corev1.ClaimPending
	}
}

// hasStatusSubresource reports whether an object's status is written on its own.
func hasStatusSubresource(obj client.Object) bool {
	_, whole := obj.(*spiderpoolv2beta1.SpiderEndpoint)
	return !whole
}

// sorted returns a kind's objects in a fixed order.
func sorted(objects map[types.NamespacedName]client.Object) []client.Object {
	all := make([]client.Object, 0, len(objects))
	for _, obj := range objects {
		all = append(all, obj)
	}
	slices.SortFunc(all, func(a, b client.Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return all
}

func clone(obj client.Object) client.Object { return obj.DeepCopyObject().(client.Object) }

// member returns the named field of the object's struct.
func member(obj client.Object, name string) (reflect.Value, bool) {
	v := reflect.ValueOf(obj).Elem()
	if v.Kind() != reflect.Struct {
		return reflect.Value{}, false
	}
	f := v.FieldByName(name)
	return f, f.IsValid()
}

// setField copies a field from another object of the type, or clears it.
func setField(obj client.Object, name string, from client.Object) {
	f, ok := member(obj, name)
	if !ok {
		return
	}
	if from == nil {
		f.SetZero()
		return
	}
	source, _ := member(from, name)
	f.Set(source)
}

func sameField(a, b client.Object, name string) bool {
	left, ok := member(a, name)
	if !ok {
		return true
	}
	right, _ := member(b, name)
	return equality.Semantic.DeepEqual(left.Interface(), right.Interface())
}

// nameIn is a key in the namespace of obj.
func nameIn(obj client.Object, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}
}
