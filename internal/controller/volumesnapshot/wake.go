package volumesnapshot

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

// onSnapshot wakes a snapshot, and those that were taken of the same claim: the
// last one of them lets the claim go.
func onSnapshot(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	snapshot := ev.Object().(*snapshotv1.VolumeSnapshot)
	var out []reconcile.Request
	if ev.New != nil {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(snapshot)})
	}
	if claim := volumesnapshot.SourceClaim(snapshot); claim != "" && (ev.New == nil || volumesnapshot.Ready(snapshot)) {
		out = append(out, chosen(ctx, read, snapshot.Namespace, func(s *snapshotv1.VolumeSnapshot) bool {
			return s.Name != snapshot.Name && volumesnapshot.SourceClaim(s) == claim
		})...)
	}
	return out
}

// onContent wakes a content and the snapshot that it is for.
func onContent(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	content := ev.Object().(*snapshotv1.VolumeSnapshotContent)
	ref := content.Spec.VolumeSnapshotRef
	out := []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}}}
	if ev.New != nil {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: content.Name}})
	}
	return out
}

// onClass wakes the snapshots that have no content yet.
func onClass(ctx context.Context, read client.Reader, _ loop.Event) []reconcile.Request {
	return chosen(ctx, read, "", func(s *snapshotv1.VolumeSnapshot) bool { return !volumesnapshot.Ready(s) })
}

// onClaim wakes the snapshots that are taken of a claim, and the one that it
// begins with.
func onClaim(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	claim := ev.Object().(*corev1.PersistentVolumeClaim)
	from, _ := volume.SourceSnapshot(claim)
	return chosen(ctx, read, claim.Namespace, func(s *snapshotv1.VolumeSnapshot) bool {
		return s.Name == from && s.DeletionTimestamp != nil || volumesnapshot.SourceClaim(s) == claim.Name
	})
}

// onVolume wakes the snapshots of a claim whose volume is seen later than the
// claim that is bound to it.
func onVolume(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pv, ok := ev.New.(*corev1.PersistentVolume)
	if !ok || pv.Spec.ClaimRef == nil {
		return nil
	}
	if old, ok := ev.Old.(*corev1.PersistentVolume); ok && old.Spec.ClaimRef != nil && old.Spec.ClaimRef.UID == pv.Spec.ClaimRef.UID {
		return nil
	}
	return chosen(ctx, read, pv.Spec.ClaimRef.Namespace, func(s *snapshotv1.VolumeSnapshot) bool {
		return volumesnapshot.SourceClaim(s) == pv.Spec.ClaimRef.Name && !volumesnapshot.Ready(s)
	})
}

// onNode wakes the contents that a node that is gone cannot let go of.
func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New != nil {
		return nil
	}
	all, err := loop.List[*snapshotv1.VolumeSnapshotContent](ctx, read, &snapshotv1.VolumeSnapshotContentList{})
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, c := range all {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: c.Name}})
	}
	return out
}

func chosen(ctx context.Context, read client.Reader, namespace string, wanted func(*snapshotv1.VolumeSnapshot) bool) []reconcile.Request {
	all, err := loop.List[*snapshotv1.VolumeSnapshot](ctx, read, &snapshotv1.VolumeSnapshotList{}, client.InNamespace(namespace))
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, s := range all {
		if wanted(s) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(s)})
		}
	}
	return out
}
