package attachdetach

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
)

// volume takes the attachments of one volume a step further.
func (a *attacher) volume(ctx context.Context, write loop.Writer, key types.NamespacedName) (time.Duration, error) {
	pv := &corev1.PersistentVolume{}
	if err := a.env.Cache.Get(ctx, key, pv); err != nil || pv.Spec.CSI == nil {
		a.remember(key, memory{})
		return 0, client.IgnoreNotFound(err)
	}
	state, err := a.observe(ctx, pv)
	if err != nil {
		return 0, fmt.Errorf("observe the attachments of volume %s: %w", pv.Name, err)
	}
	known := a.recall(key)
	state.Unwanted = known.unwanted
	plan := volume.Attach(state)
	events, told := volume.AttachEvents(state, plan.Refused, known.told)
	a.remember(key, memory{volume.Since(plan.Unwanted, known.unwanted, state.Now), told})
	for _, e := range events {
		a.env.Events.Event(e.Pod, e.Type, e.Reason, e.Message)
	}
	for _, d := range plan.Detach {
		if err := a.detach(ctx, write, pv, d); err != nil {
			return 0, fmt.Errorf("detach volume %s from node %s: %w", pv.Name, d.Attachment.Spec.NodeName, err)
		}
	}
	for _, one := range plan.Attach {
		if err := write.Create(ctx, one); err != nil && !apierrors.IsAlreadyExists(err) {
			return 0, fmt.Errorf("attach volume %s to node %s: %w", pv.Name, one.Spec.NodeName, err)
		}
	}
	return plan.Again, nil
}

// detach takes a volume out of what its node may use, and then the attachment.
// The node's object, as it is now, must not say that the volume is in use: a node
// says so before it looks whether it may use it. One that is not heard of is not
// asked, unless it has come back since that was decided.
func (a *attacher) detach(ctx context.Context, write loop.Writer, pv *corev1.PersistentVolume, d volume.Detachment) error {
	name := volume.CSIName(d.Attachment.Spec.Attacher, pv.Spec.CSI.VolumeHandle)
	node := &corev1.Node{}
	err := a.env.Live.Get(ctx, types.NamespacedName{Name: d.Attachment.Spec.NodeName}, node)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err == nil {
		if node = node.DeepCopy(); slices.Contains(node.Status.VolumesInUse, name) && (!d.Force || !volume.IsLost(node)) {
			return nil // its change wakes us
		}
		same := func(v corev1.AttachedVolume) bool { return v.Name == name }
		if slices.ContainsFunc(node.Status.VolumesAttached, same) {
			node.Status.VolumesAttached = slices.DeleteFunc(node.Status.VolumesAttached, same)
			if err := write.Status().Update(ctx, node); err != nil {
				return client.IgnoreNotFound(err)
			}
		}
	}
	return client.IgnoreNotFound(write.Delete(ctx, d.Attachment.DeepCopy(), client.Preconditions{UID: &d.Attachment.UID}))
}

// node tells a node what is attached to it. It is read before all else, so that
// what changes meanwhile makes the write fail.
func (a *attacher) node(ctx context.Context, write loop.Writer, name string) error {
	node := &corev1.Node{}
	if err := a.env.Cache.Get(ctx, types.NamespacedName{Name: name}, node); err != nil {
		return client.IgnoreNotFound(err)
	}
	all, err := loop.List[*storagev1.VolumeAttachment](ctx, a.env.Cache, &storagev1.VolumeAttachmentList{}, client.MatchingFields{byNode: name})
	if err != nil {
		return err
	}
	attached := volume.Attached(node, all, func(at *storagev1.VolumeAttachment) (string, bool) {
		pv := &corev1.PersistentVolume{}
		if err := a.env.Cache.Get(ctx, types.NamespacedName{Name: volumeOf(at)}, pv); err != nil || pv.Spec.CSI == nil {
			return "", false
		}
		pods, err := a.podsOf(ctx, pv)
		return pv.Spec.CSI.VolumeHandle, err == nil && slices.ContainsFunc(pods, func(pod *corev1.Pod) bool {
			return pod.Spec.NodeName == name && volume.WantsVolumes(pod, node)
		})
	})
	if equality.Semantic.DeepEqual(attached, node.Status.VolumesAttached) {
		return nil
	}
	changed := node.DeepCopy()
	changed.Status.VolumesAttached = attached
	if err := write.Status().Update(ctx, changed); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("tell node %s what is attached to it: %w", name, err))
	}
	return nil
}
