// Package attachdetach attaches the volumes of storage drivers to the nodes of
// the pods that use them, and takes them away again, around plan/volume. It only
// writes objects (VolumeAttachment, a node's status.volumesAttached): the
// driver's own attacher does the work. Keys with a namespace are nodes, keys
// without are volumes.
package attachdetach

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
)

// Indexes of attachments; the scheduler has the first, too.
const (
	byNode   = "spec.nodeName"
	byVolume = "spec.source.persistentVolumeName"
)

// nodeKey is the namespace of keys that are nodes.
const nodeKey = "nodes"

// Loop returns the loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "attachdetach",
		Source:  "attachdetach-controller",
		User:    "system:serviceaccount:kube-system:attachdetach-controller",
		Workers: 4,
		Watches: []loop.Watch{
			{Kind: &corev1.Pod{}, Map: onPod},
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
			{Kind: &corev1.PersistentVolume{}, Map: onVolume},
			{Kind: &storagev1.VolumeAttachment{}, Map: onAttachment},
			{Kind: &corev1.Node{}, Map: onNode},
			{Kind: &storagev1.CSIDriver{}, Map: onDriver},
		},
		Indexes: []loop.Index{podindex.ByClaim(), attachments(byNode, func(a *storagev1.VolumeAttachment) string { return a.Spec.NodeName }), attachments(byVolume, volumeOf)},
		New: func(env loop.Env) reconcile.Reconciler {
			return &attacher{env: env, own: loop.NewOwnWrites(env), known: map[types.NamespacedName]memory{}}
		},
	}
}

func attachments(field string, key func(*storagev1.VolumeAttachment) string) loop.Index {
	return loop.Index{Kind: &storagev1.VolumeAttachment{}, Field: field, Keys: func(o client.Object) []string {
		if k := key(o.(*storagev1.VolumeAttachment)); k != "" {
			return []string{k}
		}
		return nil
	}}
}

func volumeOf(a *storagev1.VolumeAttachment) string {
	if name := a.Spec.Source.PersistentVolumeName; name != nil {
		return *name
	}
	return ""
}

type attacher struct {
	env loop.Env
	own *loop.OwnWrites

	mu    sync.Mutex
	known map[types.NamespacedName]memory // by volume
}

// Reconcile decides on one volume, or tells one node what is attached to it.
func (a *attacher) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !a.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	write := a.own.Writer(req.NamespacedName)
	if req.Namespace == nodeKey {
		return reconcile.Result{}, a.node(ctx, write, req.Name)
	}
	again, err := a.volume(ctx, write, req.NamespacedName)
	return reconcile.Result{RequeueAfter: again}, err
}

func volumeKey(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

func nodeRequest(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: nodeKey, Name: name}}
}

// onPod wakes the volumes of a pod that has a node, and its node.
func onPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pod := ev.Object().(*corev1.Pod)
	if pod.Spec.NodeName == "" {
		return nil
	}
	var out []reconcile.Request
	for i := range pod.Spec.Volumes {
		name, _ := podindex.ClaimName(pod, &pod.Spec.Volumes[i])
		if name == "" {
			continue
		}
		claim := &corev1.PersistentVolumeClaim{}
		if err := read.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: name}, claim); err == nil && isDriven(ctx, read, claim.Spec.VolumeName) {
			out = append(out, volumeKey(claim.Spec.VolumeName), nodeRequest(pod.Spec.NodeName))
		}
	}
	return out
}

func isDriven(ctx context.Context, read client.Reader, name string) bool {
	pv := &corev1.PersistentVolume{}
	return name != "" && read.Get(ctx, types.NamespacedName{Name: name}, pv) == nil && pv.Spec.CSI != nil
}

func onClaim(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if name := ev.Object().(*corev1.PersistentVolumeClaim).Spec.VolumeName; isDriven(ctx, read, name) {
		return []reconcile.Request{volumeKey(name)}
	}
	return nil
}

func onVolume(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if pv := ev.Object().(*corev1.PersistentVolume); pv.Spec.CSI != nil {
		return []reconcile.Request{volumeKey(pv.Name)}
	}
	return nil
}

func onAttachment(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	a := ev.Object().(*storagev1.VolumeAttachment)
	out := []reconcile.Request{nodeRequest(a.Spec.NodeName)}
	if name := volumeOf(a); name != "" {
		out = append(out, volumeKey(name))
	}
	return out
}

// onNode wakes what is attached to a node that says something else of its
// volumes, or is in another state.
func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*corev1.Node)
	node, _ := ev.New.(*corev1.Node)
	if old != nil && node != nil && equality.Semantic.DeepEqual(old.Status.VolumesInUse, node.Status.VolumesInUse) &&
		equality.Semantic.DeepEqual(old.Status.VolumesAttached, node.Status.VolumesAttached) &&
		equality.Semantic.DeepEqual(old.Spec.Taints, node.Spec.Taints) && equality.Semantic.DeepEqual(old.Annotations, node.Annotations) {
		return nil // whether it is ready shows in its taints
	}
	name := ev.Object().GetName()
	out := []reconcile.Request{nodeRequest(name)}
	all, err := loop.List[*storagev1.VolumeAttachment](ctx, read, &storagev1.VolumeAttachmentList{}, client.MatchingFields{byNode: name})
	if err != nil {
		return out
	}
	for _, a := range all {
		if pv := volumeOf(a); pv != "" {
			out = append(out, volumeKey(pv))
		}
	}
	return out
}

// onDriver wakes the volumes of a driver that wants something else now.
func onDriver(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	old, _ := ev.Old.(*storagev1.CSIDriver)
	now, _ := ev.New.(*storagev1.CSIDriver)
	if old != nil && now != nil && equality.Semantic.DeepEqual(old.Spec.AttachRequired, now.Spec.AttachRequired) {
		return nil
	}
	all, err := loop.List[*corev1.PersistentVolume](ctx, read, &corev1.PersistentVolumeList{})
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, pv := range all {
		if pv.Spec.CSI != nil && pv.Spec.CSI.Driver == ev.Object().GetName() {
			out = append(out, volumeKey(pv.Name))
		}
	}
	return out
}
