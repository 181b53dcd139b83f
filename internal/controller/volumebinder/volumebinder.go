// Package volumebinder binds claims to volumes and looks after volumes whose
// claim is gone, around plan/volume. Keys with a namespace are claims, keys
// without are volumes.
package volumebinder

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/controller/volumeindex"
	"berth.dev/berth/internal/plan/volume"
)

const unboundIndex = "volumebinder.unbound"

const workers = 8

// Loop returns the binder.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "persistentvolume-binder",
		Source:  "persistentvolume-controller",
		User:    "system:serviceaccount:kube-system:persistent-volume-binder",
		Workers: workers,
		Watches: []loop.Watch{
			{Kind: &corev1.PersistentVolumeClaim{}, Map: onClaim},
			{Kind: &corev1.PersistentVolume{}, Map: onVolume},
			{Kind: &storagev1.StorageClass{}, Map: onClass},
			{Kind: &corev1.Pod{}, Map: onPod},
		},
		Indexes: []loop.Index{podindex.ByClaim(), volumeindex.ByHolder(), {Kind: &corev1.PersistentVolumeClaim{}, Field: unboundIndex, Keys: unboundKeys}},
		New: func(env loop.Env) reconcile.Reconciler {
			return &binder{env: env, own: loop.NewOwnWrites(env), said: map[types.UID]string{}}
		},
	}
}

type binder struct {
	env loop.Env
	own *loop.OwnWrites
	// choosing is held by who takes a free volume for a claim, so that the
	// binder does not race itself for one.
	choosing sync.Mutex

	mu sync.Mutex
	// said is the last event about a claim or volume: the same is not said twice.
	said map[types.UID]string
}

// Reconcile moves one claim or one volume one step.
func (b *binder) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !b.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	write := b.own.Writer(req.NamespacedName)
	if req.Namespace == "" {
		return reconcile.Result{}, b.volume(ctx, write, req.NamespacedName)
	}
	return reconcile.Result{}, b.claim(ctx, write, req.NamespacedName)
}

func (b *binder) say(about client.Object, events []volume.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range events {
		key := e.Reason + "\x00" + e.Message
		if b.said[about.GetUID()] == key {
			continue
		}
		b.said[about.GetUID()] = key
		b.env.Events.Event(about, e.Type, e.Reason, e.Message)
	}
}

// forget lets everything be said about an object again.
func (b *binder) forget(uid types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.said, uid)
}

func unboundKeys(o client.Object) []string {
	if o.(*corev1.PersistentVolumeClaim).Spec.VolumeName == "" {
		return []string{"true"}
	}
	return nil
}

func onClaim(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	claim := ev.Object().(*corev1.PersistentVolumeClaim)
	out := []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(claim)}}
	if name := claim.Spec.VolumeName; name != "" {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
	}
	return out
}

func onVolume(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pv := ev.Object().(*corev1.PersistentVolume)
	out := []reconcile.Request{{NamespacedName: types.NamespacedName{Name: pv.Name}}}
	if ref := pv.Spec.ClaimRef; ref != nil {
		return append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}})
	}
	if ev.New != nil && pv.Status.Phase == corev1.VolumeAvailable {
		out = append(out, unbound(ctx, read)...)
	}
	return out
}

func onClass(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	return unbound(ctx, read)
}

// onPod wakes the claims of a pod that the scheduler found no node for: what
// they wait for is no longer that somebody uses them.
func onPod(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	pod, ok := ev.New.(*corev1.Pod)
	if !ok || pod.Spec.NodeName != "" || !unschedulable(pod) {
		return nil
	}
	var out []reconcile.Request
	for i := range pod.Spec.Volumes {
		name, _ := podindex.ClaimName(pod, &pod.Spec.Volumes[i])
		if name == "" {
			continue
		}
		key, claim := types.NamespacedName{Namespace: pod.Namespace, Name: name}, &corev1.PersistentVolumeClaim{}
		if err := read.Get(ctx, key, claim); err == nil && claim.Spec.VolumeName == "" {
			out = append(out, reconcile.Request{NamespacedName: key})
		}
	}
	return out
}

func unschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
}

func unbound(ctx context.Context, read client.Reader) []reconcile.Request {
	claims := &corev1.PersistentVolumeClaimList{}
	if err := read.List(ctx, claims, client.MatchingFields{unboundIndex: "true"}); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range claims.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&claims.Items[i])})
	}
	return out
}
