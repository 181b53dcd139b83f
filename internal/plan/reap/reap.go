package reap

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// Owner is what is known about one owner.
type Owner int

const (
	// Unknown means that it cannot be asked: its kind is not served, or a
	// cluster-scoped object names an owner in a namespace. Nothing is decided.
	Unknown Owner = iota
	// Present owners want their dependents.
	Present
	// Waiting owners are being deleted and wait for their dependents to go.
	Waiting
	// Absent owners do not exist: the UID is gone for ever.
	Absent
)

// State is one object with its relations.
type State struct {
	Object metav1.Object
	// Owners by the UID in the owner references.
	Owners map[types.UID]Owner
	// Dependents are the objects that name Object's UID as an owner.
	Dependents []metav1.Object
}

// Plan is what to do, in this order; the zero Plan is to do nothing.
type Plan struct {
	// Orphan takes the reference to Object away from these dependents.
	Orphan []metav1.Object
	// Collect are dependents to be decided on, because Object waits for them.
	Collect []metav1.Object
	// Finalizer is to be taken off Object.
	Finalizer string
	// Owners is the new list of owner references, if SetOwners.
	SetOwners bool
	Owners    []metav1.OwnerReference
	// Delete the object with this propagation.
	Delete *metav1.DeletionPropagation
}

// Decide says what garbage collection owes the object.
func Decide(s State) Plan {
	if s.Object.GetDeletionTimestamp() != nil {
		return s.deleting()
	}
	refs := s.Object.GetOwnerReferences()
	if len(refs) == 0 {
		return Plan{}
	}
	var solid, waiting, absent []metav1.OwnerReference
	for _, ref := range refs {
		switch s.Owners[ref.UID] {
		case Unknown:
			return Plan{}
		case Absent:
			absent = append(absent, ref)
		case Waiting:
			waiting = append(waiting, ref)
		default:
			solid = append(solid, ref)
		}
	}
	switch {
	case len(solid) > 0 && len(absent)+len(waiting) == 0:
		return Plan{}
	case len(solid) > 0:
		return Plan{SetOwners: true, Owners: solid}
	case len(waiting) > 0 && len(s.Dependents) > 0:
		plan := Plan{Delete: policy(metav1.DeletePropagationForeground)}
		if slices.ContainsFunc(s.Dependents, func(d metav1.Object) bool { return DeletesDependents(d) }) {
			// A circle of owners that wait for each other: let go of one.
			plan.SetOwners, plan.Owners = true, unblocked(refs)
		}
		return plan
	case slices.Contains(s.Object.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return Plan{Delete: policy(metav1.DeletePropagationOrphan)}
	case slices.Contains(s.Object.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return Plan{Delete: policy(metav1.DeletePropagationForeground)}
	}
	return Plan{Delete: policy(metav1.DeletePropagationBackground)}
}

// deleting handles an object that the API server already marked.
func (s State) deleting() Plan {
	finalizers := s.Object.GetFinalizers()
	switch {
	case tearsDown(s.Object):
		return Plan{}
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return Plan{Orphan: s.Dependents, Finalizer: metav1.FinalizerOrphanDependents}
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		var collect []metav1.Object
		blocked := false
		for _, d := range s.Dependents {
			if blocks(d, s.Object.GetUID()) {
				blocked = true
			}
			if d.GetDeletionTimestamp() == nil {
				collect = append(collect, d)
			}
		}
		if blocked {
			return Plan{Collect: collect}
		}
		// Dependents that do not block are collected once the owner is gone.
		return Plan{Finalizer: metav1.FinalizerDeleteDependents}
	}
	return Plan{}
}

// DeletesDependents says that an object is being deleted in the foreground.
func DeletesDependents(o metav1.Object) bool {
	return o.GetDeletionTimestamp() != nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents) && !tearsDown(o)
}

// tearsDown says that an object which is deleted in the foreground stops its
// dependents itself, in order: what is left then is collected.
func tearsDown(o metav1.Object) bool {
	finalizers := o.GetFinalizers()
	return slices.Contains(finalizers, options.TeardownFinalizer) && !slices.Contains(finalizers, metav1.FinalizerOrphanDependents)
}

// Without is the list of owner references without one owner.
func Without(o metav1.Object, owner types.UID) []metav1.OwnerReference {
	refs := slices.Clone(o.GetOwnerReferences())
	return slices.DeleteFunc(refs, func(r metav1.OwnerReference) bool { return r.UID == owner })
}

func blocks(dependent metav1.Object, owner types.UID) bool {
	return slices.ContainsFunc(dependent.GetOwnerReferences(), func(r metav1.OwnerReference) bool {
		return r.UID == owner && r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion
	})
}

func unblocked(refs []metav1.OwnerReference) []metav1.OwnerReference {
	out := slices.Clone(refs)
	for i := range out {
		no := false
		out[i].BlockOwnerDeletion = &no
	}
	return out
}

func policy(p metav1.DeletionPropagation) *metav1.DeletionPropagation { return &p }
