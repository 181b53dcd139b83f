// Package volumesnapshot keeps VolumeSnapshots and what they are bound to, as
// upstream's snapshot-controller does, around plan/volumesnapshot. Nodes take and
// remove the snapshots themselves. Keys with a namespace are snapshots, keys
// without are contents.
package volumesnapshot

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Loop returns the loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:   "volume-snapshot",
		Source: "snapshot-controller",
		User:   "system:serviceaccount:kube-system:snapshot-controller",
		Watches: []loop.Watch{
			{Kind: &snapshotv1.VolumeSnapshot{}, Map: onSnapshot},
			{Kind: &snapshotv1.VolumeSnapshotContent{}, Map: onContent},
			{Kind: &snapshotv1.VolumeSnapshotClass{}, Map: onClass},
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
			{Kind: &corev1.PersistentVolume{}, Map: onVolume},
			{Kind: &corev1.Node{}, Map: onNode},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &controller{env} },
	}
}

type controller struct{ env loop.Env }

// Reconcile does the next step for one snapshot or one content.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var err error
	if req.Namespace == "" {
		err = c.content(ctx, req.NamespacedName)
	} else {
		err = c.snapshot(ctx, req.NamespacedName)
	}
	// A conflict says that the cache lags: what came meanwhile decides anew.
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

func (c *controller) snapshot(ctx context.Context, key types.NamespacedName) error {
	snapshot := &snapshotv1.VolumeSnapshot{}
	if err := c.env.Cache.Get(ctx, key, snapshot); err != nil {
		return client.IgnoreNotFound(err)
	}
	state, err := c.observe(ctx, snapshot)
	if err != nil {
		return fmt.Errorf("observe snapshot %s: %w", key, err)
	}
	plan := volumesnapshot.Snapshot(state)
	if err := c.write(ctx, plan); err != nil {
		return fmt.Errorf("snapshot %s: %w", key, err)
	}
	for _, e := range plan.Events {
		c.env.Events.Event(snapshot, e.Type, e.Reason, e.Message)
	}
	return nil
}

func (c *controller) write(ctx context.Context, plan volumesnapshot.Plan) error {
	switch write := c.env.Write; {
	case plan.Snapshot != nil:
		return write.Update(ctx, plan.Snapshot)
	case plan.Status != nil:
		return write.Status().Update(ctx, plan.Status)
	case plan.Claim != nil:
		return write.Update(ctx, plan.Claim)
	case plan.Content != nil:
		return write.Update(ctx, plan.Content)
	case plan.Delete != nil:
		return write.Delete(ctx, plan.Delete, client.Preconditions{UID: &plan.Delete.UID})
	case plan.Create != nil:
		if err := write.Create(ctx, plan.Create); !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

func (c *controller) observe(ctx context.Context, snapshot *snapshotv1.VolumeSnapshot) (volumesnapshot.State, error) {
	state := volumesnapshot.State{Snapshot: snapshot, Now: metav1.NewTime(c.env.Clock.Now()).Rfc3339Copy()}
	content := &snapshotv1.VolumeSnapshotContent{}
	found, err := c.get(ctx, snapshot, types.NamespacedName{Name: volumesnapshot.ContentName(snapshot)}, content)
	if err != nil {
		return state, err
	}
	if found {
		state.Content = content
	}
	if state.Classes, err = loop.List[*snapshotv1.VolumeSnapshotClass](ctx, c.env.Cache, &snapshotv1.VolumeSnapshotClassList{}); err != nil {
		return state, err
	}
	if snapshot.DeletionTimestamp != nil {
		if state.Restoring, err = c.restoring(ctx, snapshot); err != nil {
			return state, err
		}
	}
	name := volumesnapshot.SourceClaim(snapshot)
	if name == "" {
		return state, nil
	}
	claim, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if found, err = c.get(ctx, snapshot, types.NamespacedName{Namespace: snapshot.Namespace, Name: name}, claim); err != nil || !found {
		return state, err
	}
	state.Claim = claim
	all, err := loop.List[*snapshotv1.VolumeSnapshot](ctx, c.env.Cache, &snapshotv1.VolumeSnapshotList{}, client.InNamespace(snapshot.Namespace))
	if err != nil {
		return state, err
	}
	for _, other := range all {
		if other.UID != snapshot.UID && other.DeletionTimestamp == nil && volumesnapshot.SourceClaim(other) == name && !volumesnapshot.Ready(other) {
			state.ClaimBusy = true
		}
	}
	if claim.Spec.VolumeName == "" {
		return state, nil
	}
	if err := c.env.Cache.Get(ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, pv); err != nil {
		return state, client.IgnoreNotFound(err)
	}
	state.Volume = pv
	return state, nil
}

// get reads what belongs to a snapshot. What was made or marked for one that is
// deleted is let go of with it, once: the cache may not know of it yet, then the
// API server does.
func (c *controller) get(ctx context.Context, snapshot *snapshotv1.VolumeSnapshot, key types.NamespacedName, into client.Object) (bool, error) {
	from := c.env.Cache
	if snapshot.DeletionTimestamp != nil {
		from = c.env.Live
	}
	err := from.Get(ctx, key, into)
	return err == nil, client.IgnoreNotFound(err)
}

// restoring tells whether a claim waits for its volume to be made of a snapshot.
// That none does is believed only from the API server.
func (c *controller) restoring(ctx context.Context, snapshot *snapshotv1.VolumeSnapshot) (bool, error) {
	claims := &corev1.PersistentVolumeClaimList{}
	if err := c.env.Live.List(ctx, claims, client.InNamespace(snapshot.Namespace)); err != nil {
		return true, err
	}
	for i := range claims.Items {
		claim := &claims.Items[i]
		if name, ok := volume.SourceSnapshot(claim); ok && name == snapshot.Name && claim.Status.Phase == corev1.ClaimPending && claim.DeletionTimestamp == nil {
			return true, nil
		}
	}
	return false, nil
}

func (c *controller) content(ctx context.Context, key types.NamespacedName) error {
	content := &snapshotv1.VolumeSnapshotContent{}
	if err := c.env.Cache.Get(ctx, key, content); err != nil {
		return client.IgnoreNotFound(err)
	}
	var hosts []string
	if volumesnapshot.MayGo(content) {
		// A node that the cache does not know yet may be about to remove it.
		nodes := &corev1.NodeList{}
		if err := c.env.Live.List(ctx, nodes); err != nil {
			return err
		}
		for i := range nodes.Items {
			hosts = append(hosts, nodes.Items[i].Labels[corev1.LabelHostname])
		}
	}
	changed := volumesnapshot.Content(content, hosts)
	if changed == nil {
		return nil
	}
	if err := c.env.Write.Update(ctx, changed); err != nil {
		return fmt.Errorf("content %s: %w", key.Name, err)
	}
	return nil
}
