package sim

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// stored is one object with its kind.
type stored struct {
	gvk schema.GroupVersionKind
	obj client.Object
}

// all are all objects in a fixed order.
func (s *Sim) all() []stored {
	kinds := make([]schema.GroupVersionKind, 0, len(s.store.kinds))
	for gvk := range s.store.kinds {
		kinds = append(kinds, gvk)
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) })
	var objects []stored
	for _, gvk := range kinds {
		for _, obj := range sorted(s.store.kind(gvk).objects) {
			objects = append(objects, stored{gvk, obj})
		}
	}
	return objects
}

// collectorMoves are those of a toy garbage collector.
func (s *Sim) collectorMoves() []move {
	objects := s.all()
	alive := map[types.UID]bool{}
	for _, o := range objects {
		alive[o.obj.GetUID()] = true
	}
	var moves []move
	for _, o := range objects {
		if do := s.collect(o, objects, alive); do != nil {
			moves = append(moves, move{1, do})
		}
	}
	return moves
}

func (s *Sim) collect(o stored, objects []stored, alive map[types.UID]bool) func() {
	switch {
	case hasFinalizer(o.obj, metav1.FinalizerOrphanDependents):
		return s.orphan(o, objects)
	case hasFinalizer(o.obj, metav1.FinalizerDeleteDependents) && !hasFinalizer(o.obj, options.TeardownFinalizer):
		return s.deleteDependents(o, objects)
	case o.obj.GetDeletionTimestamp() == nil && ownerless(o.obj, alive):
		return func() { s.collectNow(o) }
	}
	return nil
}

// ownerless reports whether the object had owners and all are gone.
func ownerless(obj client.Object, alive map[types.UID]bool) bool {
	refs := obj.GetOwnerReferences()
	for _, ref := range refs {
		if alive[ref.UID] {
			return false
		}
	}
	return len(refs) > 0
}

func (s *Sim) collectNow(o stored) {
	s.log("toy collector: deletes %s %s", o.gvk.Kind, o.obj.GetName())
	uid := o.obj.GetUID()
	s.ignore(s.store.delete(o.gvk, client.ObjectKeyFromObject(o.obj), &client.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}))
}

func (s *Sim) orphan(o stored, objects []stored) func() {
	for _, d := range objects {
		if !owns(o.obj, d.obj) {
			continue
		}
		return func() {
			s.log("toy collector: orphans %s %s", d.gvk.Kind, d.obj.GetName())
			next := clone(d.obj)
			next.SetOwnerReferences(slices.DeleteFunc(next.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == o.obj.GetUID() }))
			s.store.put(d.gvk, d.obj, next)
		}
	}
	return func() { s.dropFinalizer(o, metav1.FinalizerOrphanDependents) }
}

func (s *Sim) deleteDependents(o stored, objects []stored) func() {
	blocking := false
	for _, d := range objects {
		if !owns(o.obj, d.obj) {
			continue
		}
		blocking = blocking || blocks(o.obj, d.obj)
		if d.obj.GetDeletionTimestamp() == nil {
			return func() { s.collectNow(d) }
		}
	}
	if blocking {
		return nil
	}
	return func() { s.dropFinalizer(o, metav1.FinalizerDeleteDependents) }
}

func (s *Sim) dropFinalizer(o stored, name string) {
	s.log("toy collector: %s %s loses finalizer %s", o.gvk.Kind, o.obj.GetName(), name)
	next := clone(o.obj)
	next.SetFinalizers(slices.DeleteFunc(next.GetFinalizers(), func(f string) bool { return f == name }))
	if finished(next) {
		s.store.remove(o.gvk, next)
		return
	}
	s.store.put(o.gvk, o.obj, next)
}

func hasFinalizer(obj client.Object, name string) bool {
	return obj.GetDeletionTimestamp() != nil && slices.Contains(obj.GetFinalizers(), name)
}

func owns(owner, obj client.Object) bool {
	return slices.ContainsFunc(obj.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == owner.GetUID() })
}

func blocks(owner, obj client.Object) bool {
	return slices.ContainsFunc(obj.GetOwnerReferences(), func(r metav1.OwnerReference) bool {
		return r.UID == owner.GetUID() && ptr.Deref(r.BlockOwnerDeletion, false)
	})
}
