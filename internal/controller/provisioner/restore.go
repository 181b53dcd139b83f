package provisioner

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// taken is a snapshot that a claim begins with, and where it is, as far as there is one.
func (p *provisioner) taken(ctx context.Context, key types.NamespacedName) (volume.Taken, error) {
	var taken volume.Taken
	snapshot, content := &snapshotv1.VolumeSnapshot{}, &snapshotv1.VolumeSnapshotContent{}
	if err := p.env.Cache.Get(ctx, key, snapshot); err != nil {
		return taken, client.IgnoreNotFound(err)
	}
	taken.Snapshot = snapshot
	if snapshot.Status == nil || snapshot.Status.BoundVolumeSnapshotContentName == nil {
		return taken, nil
	}
	if err := p.env.Cache.Get(ctx, types.NamespacedName{Name: *snapshot.Status.BoundVolumeSnapshotContentName}, content); err != nil {
		return taken, client.IgnoreNotFound(err)
	}
	taken.Content = content
	taken.Host, taken.Folder, _ = volumesnapshot.Place(content)
	return taken, nil
}

// onSnapshot wakes the claims that are to begin with a snapshot.
func onSnapshot(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	claims := &corev1.PersistentVolumeClaimList{}
	err := read.List(ctx, claims, client.InNamespace(ev.New.GetNamespace()), client.MatchingFields{unprovisioned: "true"})
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range claims.Items {
		if name, ok := volume.SourceSnapshot(&claims.Items[i]); ok && name == ev.New.GetName() {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&claims.Items[i])})
		}
	}
	return out
}
