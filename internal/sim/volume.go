package sim

import (
	corev1 "k8s.io/api/core/v1"
)

// volumeMoves are those of a toy binder and provisioner: claims are bound and
// get what they ask for, some time later.
func (s *Sim) volumeMoves() []move {
	var moves []move
	for _, obj := range sorted(s.store.kind(claimGVK).objects) {
		old := obj.(*corev1.PersistentVolumeClaim)
		asks, has := old.Spec.Resources.Requests.Storage(), old.Status.Capacity.Storage()
		if old.DeletionTimestamp != nil || old.Status.Phase == corev1.ClaimBound && has.Cmp(*asks) >= 0 {
			continue
		}
		moves = append(moves, move{1, func() {
			s.log("toy binder: %s has %s", old.Name, asks)
			next := old.DeepCopy()
			next.Status.Phase = corev1.ClaimBound
			next.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: *asks}
			s.store.put(claimGVK, old, next)
		}})
	}
	return moves
}
