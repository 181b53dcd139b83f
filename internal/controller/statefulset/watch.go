package statefulset

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// claimPrefix indexes sets by "<template>-<set>", the claims' names without ordinal.
const claimPrefix = "spec.volumeClaimTemplates.prefix"

func indexes() []loop.Index {
	return []loop.Index{
		loop.ByOwner(&corev1.Pod{}),
		loop.ByOwner(&appsv1.ControllerRevision{}),
		{Kind: &appsv1.StatefulSet{}, Field: claimPrefix, Keys: claimPrefixes},
		{Kind: &appsv1.StatefulSet{}, Field: looksAt, Keys: lookedAt},
	}
}

func claimPrefixes(obj client.Object) []string {
	set, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return nil
	}
	prefixes := make([]string, 0, len(set.Spec.VolumeClaimTemplates))
	for i := range set.Spec.VolumeClaimTemplates {
		prefixes = append(prefixes, set.Spec.VolumeClaimTemplates[i].Name+"-"+set.Name)
	}
	return prefixes
}

func watches() []loop.Watch {
	return []loop.Watch{
		{Kind: &appsv1.StatefulSet{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			return request(ev.Object(), ev.Object().GetName())
		}},
		{Kind: &corev1.Pod{}, Map: setsOfPod},
		{Kind: &appsv1.ControllerRevision{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			return owners(ev, func(name string) string {
				return name[:max(strings.LastIndexByte(name, '-'), 0)]
			})
		}},
		{Kind: &corev1.PersistentVolumeClaim{}, Map: setsOfClaim},
		{Kind: &policyv1.PodDisruptionBudget{}, Map: setsLookingAt(func(client.Object) string { return budgets })},
		{Kind: &corev1.ConfigMap{}, Map: setsLookingAt(func(obj client.Object) string { return overridesIn + obj.GetName() })},
	}
}

// setsOfPod wakes the owners, and when a pod goes the set that its name speaks
// of too: somebody else's pod may have stood in its way.
func setsOfPod(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	byName := func(name string) string {
		set, _, _ := plan.ParseName(name)
		return set
	}
	all := owners(ev, byName)
	if ev.New == nil && metav1.GetControllerOfNoCopy(ev.Old) != nil {
		all = append(all, request(ev.Old, byName(ev.Old.GetName()))...)
	}
	return all
}

func request(obj client.Object, set string) []reconcile.Request {
	if set == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: set}}}
}

// owners are the sets that control the object now or did before; an object
// without a controller may be adopted by the set that its name speaks of.
func owners(ev loop.Event, byName func(string) string) []reconcile.Request {
	var all []reconcile.Request
	for _, obj := range []client.Object{ev.New, ev.Old} {
		if obj == nil {
			continue
		}
		name := ""
		if ref := metav1.GetControllerOfNoCopy(obj); ref == nil {
			name = byName(obj.GetName())
		} else if ref.Kind == "StatefulSet" && ref.APIVersion == appsv1.SchemeGroupVersion.String() {
			name = ref.Name
		}
		if len(all) > 0 && all[0].Name == name {
			continue
		}
		all = append(all, request(obj, name)...)
	}
	return all
}

// looksAt indexes sets by what else their annotations make them look at.
const (
	looksAt = "metadata.annotations.looksAt"
	budgets = "budgets"
	// overridesIn is followed by the name of a ConfigMap.
	overridesIn = "overrides/"
)

func lookedAt(obj client.Object) []string {
	set, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return nil
	}
	var all []string
	asked := asksFor(set)
	if asked.RespectPDB {
		all = append(all, budgets)
	}
	if asked.Overrides != "" {
		all = append(all, overridesIn+asked.Overrides)
	}
	return all
}

// setsLookingAt wakes the sets of a namespace that look at an object.
func setsLookingAt(what func(client.Object) string) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
		obj := ev.Object()
		var sets appsv1.StatefulSetList
		if err := read.List(ctx, &sets, client.InNamespace(obj.GetNamespace()), client.MatchingFields{looksAt: what(obj)}); err != nil {
			return nil
		}
		var all []reconcile.Request
		for i := range sets.Items {
			all = append(all, request(&sets.Items[i], sets.Items[i].Name)...)
		}
		return all
	}
}

// setsOfClaim wakes the sets that a claim may belong to, when it comes, goes,
// changes owners, is bound or grows.
func setsOfClaim(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	claim := ev.Object()
	if ev.Old != nil && ev.New != nil && !claimChanged(ev.Old, ev.New) {
		return nil
	}
	prefix, _, ok := plan.ParseName(claim.GetName())
	if !ok {
		return nil
	}
	var sets appsv1.StatefulSetList
	if err := read.List(ctx, &sets, client.InNamespace(claim.GetNamespace()), client.MatchingFields{claimPrefix: prefix}); err != nil {
		return nil
	}
	var all []reconcile.Request
	for i := range sets.Items {
		all = append(all, request(&sets.Items[i], sets.Items[i].Name)...)
	}
	return all
}

func claimChanged(before, after client.Object) bool {
	return (before.GetDeletionTimestamp() == nil) != (after.GetDeletionTimestamp() == nil) ||
		!equality.Semantic.DeepEqual(before.GetOwnerReferences(), after.GetOwnerReferences()) ||
		sizeChanged(before, after)
}

func sizeChanged(before, after client.Object) bool {
	b, ok := before.(*corev1.PersistentVolumeClaim)
	a, is := after.(*corev1.PersistentVolumeClaim)
	return ok && is && (b.Status.Phase != a.Status.Phase ||
		b.Spec.Resources.Requests.Storage().Cmp(*a.Spec.Resources.Requests.Storage()) != 0 ||
		b.Status.Capacity.Storage().Cmp(*a.Status.Capacity.Storage()) != 0)
}
