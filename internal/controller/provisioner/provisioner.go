// Package provisioner makes PersistentVolumes for claims whose class names
// the built-in local provisioner, around plan/volume. It only writes objects:
// the node makes and removes the directory. Keys with a namespace are claims,
// keys without are volumes whose node may be gone.
package provisioner

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
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

const unprovisioned = "provisioner.unprovisioned"

// Loop returns the local provisioner.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "local-provisioner",
		Source:  volume.LocalProvisioner,
		User:    "system:serviceaccount:kube-system:persistent-volume-binder",
		Workers: 8,
		Watches: []loop.Watch{
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
			{Kind: &corev1.PersistentVolume{}, Map: onVolume},
			{Kind: &storagev1.StorageClass{}, Map: onOther},
			{Kind: &corev1.Node{}, Map: onNode},
			{Kind: &snapshotv1.VolumeSnapshot{}, Map: onSnapshot},
			{Kind: &snapshotv1.VolumeSnapshotContent{}},
		},
		Indexes: []loop.Index{{Kind: &corev1.PersistentVolumeClaim{}, Field: unprovisioned, Keys: func(o client.Object) []string {
			if o.(*corev1.PersistentVolumeClaim).Spec.VolumeName == "" {
				return []string{"true"}
			}
			return nil
		}}},
		New: func(env loop.Env) reconcile.Reconciler { return &provisioner{env: env} },
	}
}

type provisioner struct{ env loop.Env }

// Reconcile provisions for one claim, or lets go of one volume.
func (p *provisioner) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace == "" {
		return reconcile.Result{}, p.release(ctx, req.Name)
	}
	return reconcile.Result{}, p.provision(ctx, req.NamespacedName)
}

func (p *provisioner) provision(ctx context.Context, key types.NamespacedName) error {
	claim := &corev1.PersistentVolumeClaim{}
	if err := p.env.Cache.Get(ctx, key, claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	if claim.Spec.VolumeName != "" {
		return nil
	}
	state, err := p.observe(ctx, claim)
	if err != nil {
		return fmt.Errorf("observe claim %s: %w", key, err)
	}
	plan := volume.Provision(state)
	switch {
	case plan.Volume != nil:
		err = p.env.Write.Create(ctx, plan.Volume)
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
	case plan.Claim != nil:
		// The cache may not know a new node yet.
		node := &corev1.Node{}
		err = p.env.Live.Get(ctx, types.NamespacedName{Name: claim.Annotations[volumehelper.AnnSelectedNode]}, node)
		if err == nil {
			return nil // its event wakes the claim
		}
		if apierrors.IsNotFound(err) {
			err = p.env.Write.Update(ctx, plan.Claim)
		}
	}
	if err != nil {
		return client.IgnoreNotFound(fmt.Errorf("provision a volume for claim %s: %w", key, err))
	}
	for _, e := range plan.Events {
		p.env.Events.Event(claim, e.Type, e.Reason, e.Message)
	}
	return nil
}

func (p *provisioner) observe(ctx context.Context, claim *corev1.PersistentVolumeClaim) (volume.ProvisionState, error) {
	state := volume.ProvisionState{Claim: claim}
	name := volumehelper.GetPersistentVolumeClaimClass(claim)
	if name == "" {
		return state, nil
	}
	class := &storagev1.StorageClass{}
	if err := p.env.Cache.Get(ctx, types.NamespacedName{Name: name}, class); err != nil {
		return state, client.IgnoreNotFound(err)
	}
	state.Class = class
	err := p.env.Cache.Get(ctx, types.NamespacedName{Name: volume.LocalName(claim)}, &corev1.PersistentVolume{})
	if err != nil && !apierrors.IsNotFound(err) {
		return state, err
	}
	state.Exists = err == nil
	if source, ok := volume.SourceClaim(claim); ok {
		if state.Source, err = p.source(ctx, types.NamespacedName{Namespace: claim.Namespace, Name: source}); err != nil {
			return state, err
		}
		state.Nodes, err = loop.List[*corev1.Node](ctx, p.env.Cache, &corev1.NodeList{})
		return state, err
	}
	if name, ok := volume.SourceSnapshot(claim); ok {
		if state.Taken, err = p.taken(ctx, types.NamespacedName{Namespace: claim.Namespace, Name: name}); err != nil {
			return state, err
		}
		state.Nodes, err = loop.List[*corev1.Node](ctx, p.env.Cache, &corev1.NodeList{})
		return state, err
	}
	if selected := claim.Annotations[volumehelper.AnnSelectedNode]; selected != "" {
		node := &corev1.Node{}
		if err = p.env.Cache.Get(ctx, types.NamespacedName{Name: selected}, node); err == nil {
			state.Nodes = append(state.Nodes, node)
		}
		return state, client.IgnoreNotFound(err)
	}
	state.Nodes, err = loop.List[*corev1.Node](ctx, p.env.Cache, &corev1.NodeList{})
	return state, err
}

// source is a claim that another begins with, and its volume, as far as there are any.
func (p *provisioner) source(ctx context.Context, key types.NamespacedName) (volume.Source, error) {
	var source volume.Source
	claim, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if err := p.env.Cache.Get(ctx, key, claim); err != nil {
		return source, client.IgnoreNotFound(err)
	}
	source.Claim = claim
	if claim.Spec.VolumeName == "" {
		return source, nil
	}
	if err := p.env.Cache.Get(ctx, types.NamespacedName{Name: claim.Spec.VolumeName}, pv); err != nil {
		return source, client.IgnoreNotFound(err)
	}
	source.Volume = pv
	return source, nil
}

// release drops our finalizer from a deleted volume whose node no longer
// exists: nobody is left to remove its directory.
func (p *provisioner) release(ctx context.Context, name string) error {
	pv := &corev1.PersistentVolume{}
	if err := p.env.Cache.Get(ctx, types.NamespacedName{Name: name}, pv); err != nil {
		return client.IgnoreNotFound(err)
	}
	hosts := volume.LocalHosts(pv)
	if pv.DeletionTimestamp == nil || len(hosts) == 0 || !slices.Contains(pv.Finalizers, volume.LocalFinalizer) {
		return nil
	}
	nodes := &corev1.NodeList{}
	if err := p.env.Live.List(ctx, nodes); err != nil {
		return err
	}
	for i := range nodes.Items {
		if slices.Contains(hosts, nodes.Items[i].Labels[corev1.LabelHostname]) {
			return nil
		}
	}
	changed := pv.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == volume.LocalFinalizer })
	if err := p.env.Write.Update(ctx, changed); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("let go of volume %s, whose node is gone: %w", name, err))
	}
	return nil
}

// onClaim wakes a claim without a volume, and those that are to be its copies.
func onClaim(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	claim, ok := ev.New.(*corev1.PersistentVolumeClaim)
	if !ok {
		return nil
	}
	if claim.Spec.VolumeName == "" {
		return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(claim)}}
	}
	if old, ok := ev.Old.(*corev1.PersistentVolumeClaim); ok && old.Status.Phase == claim.Status.Phase {
		return nil
	}
	copies := &corev1.PersistentVolumeClaimList{}
	err := read.List(ctx, copies, client.InNamespace(claim.Namespace), client.MatchingFields{unprovisioned: "true"})
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range copies.Items {
		if source, ok := volume.SourceClaim(&copies.Items[i]); ok && source == claim.Name {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&copies.Items[i])})
		}
	}
	return out
}

func onVolume(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	pv := ev.Object().(*corev1.PersistentVolume)
	switch ref := pv.Spec.ClaimRef; {
	case ev.New == nil && ref != nil:
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}}}
	case ev.New != nil && pv.DeletionTimestamp != nil:
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: pv.Name}}}
	}
	return nil
}

func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if old, ok := ev.Old.(*corev1.Node); ok && ev.New != nil &&
		old.Annotations[volume.VolumesDirAnnotation] == ev.New.GetAnnotations()[volume.VolumesDirAnnotation] &&
		old.Labels[corev1.LabelHostname] == ev.New.GetLabels()[corev1.LabelHostname] {
		return nil
	}
	out := onOther(ctx, read, ev)
	if ev.New == nil {
		volumes := &corev1.PersistentVolumeList{}
		if err := read.List(ctx, volumes); err == nil {
			for i := range volumes.Items {
				out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: volumes.Items[i].Name}})
			}
		}
	}
	return out
}

// onOther wakes every claim without a volume.
func onOther(ctx context.Context, read client.Reader, _ loop.Event) []reconcile.Request {
	claims := &corev1.PersistentVolumeClaimList{}
	if err := read.List(ctx, claims, client.MatchingFields{unprovisioned: "true"}); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range claims.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&claims.Items[i])})
	}
	return out
}
