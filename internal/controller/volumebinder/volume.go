package volumebinder

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
)

// volume observes, decides and applies for one volume.
func (b *binder) volume(ctx context.Context, write loop.Writer, key types.NamespacedName) error {
	pv := &corev1.PersistentVolume{}
	if err := b.env.Cache.Get(ctx, key, pv); err != nil {
		return client.IgnoreNotFound(err)
	}
	state := volume.VolumeState{Volume: pv}
	var err error
	if state.Claim, err = b.claimOf(ctx, pv); err != nil {
		return fmt.Errorf("observe volume %s: %w", pv.Name, err)
	}
	plan := volume.Volume(state)
	latest := pv
	if plan.Volume != nil {
		if err := write.Update(ctx, plan.Volume); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("update volume %s: %w", pv.Name, err))
		}
		latest = plan.Volume
	}
	if plan.Status != nil {
		changed := latest.DeepCopy()
		changed.Status = *plan.Status
		if err := write.Status().Update(ctx, changed); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("update the status of volume %s: %w", pv.Name, err))
		}
	}
	if plan.Delete {
		if err := write.Delete(ctx, pv.DeepCopy(), client.Preconditions{UID: &pv.UID}); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("delete volume %s: %w", pv.Name, err))
		}
	}
	b.say(pv, plan.Events)
	if state.Claim != nil {
		b.say(state.Claim, plan.ClaimEvents)
	}
	return nil
}

// claimOf is the claim that the volume names. Before a volume is released the
// API server itself must say that the claim is gone.
func (b *binder) claimOf(ctx context.Context, pv *corev1.PersistentVolume) (*corev1.PersistentVolumeClaim, error) {
	ref := pv.Spec.ClaimRef
	if ref == nil || ref.UID == "" {
		return nil, nil
	}
	key := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	claim := &corev1.PersistentVolumeClaim{}
	err := b.env.Cache.Get(ctx, key, claim)
	if err == nil && claim.UID == ref.UID {
		return claim, nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if p := pv.Status.Phase; p == corev1.VolumeReleased || p == corev1.VolumeFailed {
		return nil, nil
	}
	claim = &corev1.PersistentVolumeClaim{}
	if err = b.env.Live.Get(ctx, key, claim); err == nil {
		return claim, nil
	}
	return nil, client.IgnoreNotFound(err)
}
