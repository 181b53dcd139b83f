package disruption

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/disruption"
)

// Scales reads the scale subresource of a controller of any kind, nil when the
// controller does not exist.
type Scales interface {
	Scale(ctx context.Context, apiVersion, kind string, key types.NamespacedName) (*autoscalingv1.Scale, error)
}

// scalesOf are what the controllers want whose share the budget is. One that is
// not found has no entry.
func (r *reconciler) scalesOf(ctx context.Context, budget *policyv1.PodDisruptionBudget, pods []*corev1.Pod) (map[types.UID]plan.Scale, error) {
	all := map[types.UID]plan.Scale{}
	for _, ref := range plan.Controllers(budget, pods) {
		scale, err := r.scaleOf(ctx, ref, budget.Namespace)
		if err != nil {
			return nil, err
		}
		if scale != nil {
			all[ref.UID] = *scale
		}
	}
	return all, nil
}

// scaleOf is what one controller wants. A ReplicaSet of a Deployment wants what
// the Deployment wants: while it rolls, two of them share that.
func (r *reconciler) scaleOf(ctx context.Context, ref *metav1.OwnerReference, namespace string) (*plan.Scale, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, err
	}
	key := types.NamespacedName{Namespace: namespace, Name: ref.Name}
	switch (schema.GroupKind{Group: gv.Group, Kind: ref.Kind}) {
	case schema.GroupKind{Kind: "ReplicationController"}:
		rc := &corev1.ReplicationController{}
		return r.cached(ctx, ref, key, rc, func() *int32 { return rc.Spec.Replicas })
	case schema.GroupKind{Group: appsv1.GroupName, Kind: "StatefulSet"}:
		set := &appsv1.StatefulSet{}
		return r.cached(ctx, ref, key, set, func() *int32 { return set.Spec.Replicas })
	case schema.GroupKind{Group: appsv1.GroupName, Kind: "ReplicaSet"}:
		rs := &appsv1.ReplicaSet{}
		scale, err := r.cached(ctx, ref, key, rs, func() *int32 { return rs.Spec.Replicas })
		owner := metav1.GetControllerOfNoCopy(rs)
		if err != nil || scale == nil || owner == nil || owner.Kind != "Deployment" {
			return scale, err
		}
		deployment := &appsv1.Deployment{}
		key.Name = owner.Name
		return r.cached(ctx, owner, key, deployment, func() *int32 { return deployment.Spec.Replicas })
	}
	if r.scales == nil {
		return nil, nil
	}
	scale, err := r.scales.Scale(ctx, ref.APIVersion, ref.Kind, key)
	if err != nil || scale == nil || scale.UID != ref.UID {
		return nil, err
	}
	return &plan.Scale{Target: scale.UID, Replicas: scale.Spec.Replicas}, nil
}

// cached reads the number out of an object in the cache.
func (r *reconciler) cached(ctx context.Context, ref *metav1.OwnerReference, key types.NamespacedName, obj client.Object, replicas func() *int32) (*plan.Scale, error) {
	if err := r.env.Cache.Get(ctx, key, obj); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if obj.GetUID() != ref.UID {
		return nil, nil
	}
	return &plan.Scale{Target: ref.UID, Replicas: ptr.Deref(replicas(), 1)}, nil
}
