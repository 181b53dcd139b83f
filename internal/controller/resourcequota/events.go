package resourcequota

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/quota/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/api/quota"
	"berth.dev/berth/internal/controller/loop"
)

// onQuota counts a quota that is new or has new limits. Of any other change it
// takes note only: most are charges.
func onQuota(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	req := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(ev.Object())}
	if ev.Old != nil && ev.New != nil {
		old, now := ev.Old.(*corev1.ResourceQuota), ev.New.(*corev1.ResourceQuota)
		if equality.Semantic.DeepEqual(old.Spec, now.Spec) {
			req.Name = charged + req.Name
		}
	}
	return []reconcile.Request{req}
}

// onObject counts the quotas that limit a kind when one of its objects goes,
// or changes what it is charged. New objects have been charged already.
func onObject(r schema.GroupResource) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	evaluator := quota.For(r)
	return func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
		if ev.Old == nil {
			return nil
		}
		quotas := &corev1.ResourceQuotaList{}
		if err := read.List(ctx, quotas, client.InNamespace(ev.Old.GetNamespace())); err != nil || len(quotas.Items) == 0 {
			return nil
		}
		if ev.New != nil && !quota.Changed(evaluator, ev.Old, ev.New) {
			return nil
		}
		var out []reconcile.Request
		for i := range quotas.Items {
			q := &quotas.Items[i]
			if len(evaluator.MatchingResources(v1.ResourceNames(q.Spec.Hard))) > 0 {
				out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(q)})
			}
		}
		return out
	}
}

// onAnnounced counts the quotas that limit kinds of a group when something is
// said about the group: custom kinds are defined by objects with the name
// PLURAL.GROUP, aggregated ones by objects with the name VERSION.GROUP.
func onAnnounced(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	_, group, _ := strings.Cut(ev.Object().GetName(), ".")
	quotas := &corev1.ResourceQuotaList{}
	if err := read.List(ctx, quotas); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range quotas.Items {
		q := &quotas.Items[i]
		if slices.ContainsFunc(v1.ResourceNames(q.Spec.Hard), func(name corev1.ResourceName) bool {
			r, ok := custom(name)
			return ok && r.Group == group
		}) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(q)})
		}
	}
	return out
}
