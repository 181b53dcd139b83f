package attachdetach

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/volume"
)

// observe reads all that a decision about a volume looks at.
func (a *attacher) observe(ctx context.Context, pv *corev1.PersistentVolume) (volume.AttachState, error) {
	state := volume.AttachState{Volume: pv, Nodes: map[string]*corev1.Node{}, Now: a.env.Clock.Now()}
	driver := &storagev1.CSIDriver{}
	switch err := a.env.Cache.Get(ctx, types.NamespacedName{Name: pv.Spec.CSI.Driver}, driver); {
	case err == nil:
		state.Driver = driver
	case client.IgnoreNotFound(err) != nil:
		return state, err
	}
	var err error
	state.Attachments, err = loop.List[*storagev1.VolumeAttachment](ctx, a.env.Cache, &storagev1.VolumeAttachmentList{}, client.MatchingFields{byVolume: pv.Name})
	if err != nil {
		return state, err
	}
	if state.Pods, err = a.podsOf(ctx, pv); err != nil {
		return state, err
	}
	var names []string
	for _, pod := range state.Pods {
		names = append(names, pod.Spec.NodeName)
	}
	for _, at := range state.Attachments {
		names = append(names, at.Spec.NodeName)
	}
	for _, name := range names {
		if name == "" || state.Nodes[name] != nil {
			continue
		}
		node := &corev1.Node{}
		switch err := a.env.Cache.Get(ctx, types.NamespacedName{Name: name}, node); {
		case err == nil:
			state.Nodes[name] = node
		case client.IgnoreNotFound(err) != nil:
			return state, err
		}
	}
	return state, nil
}

// podsOf are the pods that use the claim that a volume is bound to.
func (a *attacher) podsOf(ctx context.Context, pv *corev1.PersistentVolume) ([]*corev1.Pod, error) {
	ref := pv.Spec.ClaimRef
	if ref == nil {
		return nil, nil
	}
	claim := &corev1.PersistentVolumeClaim{}
	err := a.env.Cache.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, claim)
	if err != nil || claim.UID != ref.UID || claim.Spec.VolumeName != pv.Name || claim.Status.Phase != corev1.ClaimBound {
		return nil, client.IgnoreNotFound(err)
	}
	return loop.List[*corev1.Pod](ctx, a.env.Cache, &corev1.PodList{}, client.InNamespace(ref.Namespace), client.MatchingFields{podindex.Claim: ref.Name})
}
