package volumebinder

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	volumehelper "k8s.io/component-helpers/storage/volume"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/controller/volumeindex"
	"berth.dev/berth/internal/plan/volume"
)

// claim observes, decides and applies for one claim.
func (b *binder) claim(ctx context.Context, write loop.Writer, key types.NamespacedName) error {
	claim := &corev1.PersistentVolumeClaim{}
	if err := b.env.Cache.Get(ctx, key, claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	state, err := b.observeClaim(ctx, claim)
	if err != nil {
		return fmt.Errorf("observe claim %s: %w", key, err)
	}
	plan := volume.Claim(state)
	if plan.Volume != nil {
		b.choosing.Lock()
		defer b.choosing.Unlock()
		if state, err = b.observeClaim(ctx, claim); err != nil {
			return fmt.Errorf("observe claim %s: %w", key, err)
		}
		plan = volume.Claim(state)
	}
	if plan.Volume != nil {
		if err := write.Update(ctx, plan.Volume); err != nil {
			return fmt.Errorf("reserve volume %s for claim %s: %w", plan.Volume.Name, key, err)
		}
	}
	latest := claim
	if plan.Claim != nil {
		if err := write.Update(ctx, plan.Claim); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("update claim %s: %w", key, err))
		}
		latest = plan.Claim
	}
	if plan.Status != nil {
		changed := latest.DeepCopy()
		changed.Status = *plan.Status
		if err := write.Status().Update(ctx, changed); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("update the status of claim %s: %w", key, err))
		}
	}
	b.say(claim, plan.Events)
	if len(plan.Events) == 0 {
		b.forget(claim.UID)
	}
	return nil
}

func (b *binder) observeClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim) (volume.ClaimState, error) {
	state := volume.ClaimState{Claim: claim}
	if name := claim.Spec.VolumeName; name != "" {
		// A claim that has its volume needs no search.
		pv := &corev1.PersistentVolume{}
		err := b.env.Cache.Get(ctx, types.NamespacedName{Name: name}, pv)
		if apierrors.IsNotFound(err) {
			// "Lost" is a grave word: make sure.
			err = b.env.Live.Get(ctx, types.NamespacedName{Name: name}, pv)
		}
		if err == nil {
			state.Volumes = []*corev1.PersistentVolume{pv}
		}
		return state, client.IgnoreNotFound(err)
	}
	var err error
	if state.Volumes, err = volumeindex.Offered(ctx, b.env.Cache, claim); err != nil {
		return state, err
	}
	classes, err := loop.List[*storagev1.StorageClass](ctx, b.env.Cache, &storagev1.StorageClassList{})
	if err != nil {
		return state, err
	}
	wanted := volumehelper.GetPersistentVolumeClaimClass(claim)
	for _, class := range classes {
		if class.Name == wanted {
			state.Class = class
		}
	}
	state.Default = volume.DefaultClass(classes)
	pods, err := loop.List[*corev1.Pod](ctx, b.env.Cache, &corev1.PodList{}, client.InNamespace(claim.Namespace), client.MatchingFields{podindex.Claim: claim.Name})
	if err != nil {
		return state, err
	}
	for _, pod := range pods {
		if pod.Spec.NodeName == "" && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			state.Pods = append(state.Pods, pod.Name)
		}
	}
	slices.Sort(state.Pods)
	return state, nil
}
