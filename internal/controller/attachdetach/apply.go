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
		a.remember(key, nil, time.Time{})
		return 0, client.IgnoreNotFound(err)
	}
	state, err := a.observe(ctx, pv)
	if err != nil {
		return 0, fmt.Errorf("observe the attachments of volume %s: %w", pv.Name, err)
	}
	a.mu.Lock()
	state.Unwanted = a.unwanted[key]
	a.mu.Unlock()
	plan := volume.Attach(state)
	a.remember(key, plan.Unwanted, state.Now)
	a.tell(state, plan)
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

// remember keeps since when nobody wants a volume on these nodes.
func (a *attacher) remember(key types.NamespacedName, nodes []string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := map[string]time.Time{}
	for _, node := range nodes {
		if fresh[node] = now; !a.unwanted[key][node].IsZero() {
			fresh[node] = a.unwanted[key][node]
		}
	}
	if delete(a.unwanted, key); len(fresh) > 0 {
		a.unwanted[key] = fresh
	}
}

// detach takes a volume out of what its node may use, and then the attachment.
// The node's object, as it is now, must not say that the volume is in use: a node
// says so before it looks whether it may use it.
func (a *attacher) detach(ctx context.Context, write loop.Writer, pv *corev1.PersistentVolume, d volume.Detachment) error {
	name := volume.CSIName(d.Attachment.Spec.Attacher, pv.Spec.CSI.VolumeHandle)
	node := &corev1.Node{}
	err := a.env.Live.Get(ctx, types.NamespacedName{Name: d.Attachment.Spec.NodeName}, node)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err == nil {
		if !d.Force && slices.Contains(node.Status.VolumesInUse, name) {
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

// tell records what came of attachments, and why pods get none, each once.
func (a *attacher) tell(state volume.AttachState, plan volume.AttachPlan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range plan.Refused {
		if a.said[e.Pod.UID] != e.Message {
			a.said[e.Pod.UID] = e.Message
			a.env.Events.Event(e.Pod, e.Type, e.Reason, e.Message)
		}
	}
	for _, at := range state.Attachments {
		kind, reason, message := corev1.EventTypeNormal, "SuccessfulAttachVolume", fmt.Sprintf("AttachVolume.Attach succeeded for volume %q ", state.Volume.Name)
		switch failed := at.Status.AttachError; {
		case at.Status.Attached && !a.pending[at.UID]:
			continue // it was before we looked
		case at.Status.Attached:
			delete(a.pending, at.UID)
			delete(a.said, at.UID)
		case failed != nil:
			a.pending[at.UID] = true
			kind, reason = corev1.EventTypeWarning, "FailedAttachVolume"
			message = fmt.Sprintf("AttachVolume.Attach failed for volume %q : %s", state.Volume.Name, errorOf(failed))
			if a.said[at.UID] == message {
				continue
			}
			a.said[at.UID] = message
		default:
			a.pending[at.UID] = true
			continue
		}
		for _, pod := range state.Pods {
			if pod.Spec.NodeName == at.Spec.NodeName {
				a.env.Events.Event(pod, kind, reason, message)
			}
		}
	}
}

func errorOf(e *storagev1.VolumeError) string {
	if e.Message == "" {
		return "an error that says nothing"
	}
	return e.Message
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
