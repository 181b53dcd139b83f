package replicaset

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/replicaset"
)

// kind is what differs between the two kinds that the loop serves.
type kind struct {
	gvk    schema.GroupVersionKind
	object func() client.Object
	// set is the object as a ReplicaSet, which shares the object's parts.
	set func(client.Object) *appsv1.ReplicaSet
	// withStatus is a copy of the object that has this status.
	withStatus func(client.Object, appsv1.ReplicaSetStatus) client.Object
	// list are all of a namespace, as ReplicaSets.
	list func(ctx context.Context, read client.Reader, namespace string) ([]*appsv1.ReplicaSet, error)
	// deployed: several of the kind may belong to one owner.
	deployed bool
}

var replicaSets = kind{
	gvk:    appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
	object: func() client.Object { return &appsv1.ReplicaSet{} },
	set:    func(obj client.Object) *appsv1.ReplicaSet { return obj.(*appsv1.ReplicaSet) },
	withStatus: func(obj client.Object, status appsv1.ReplicaSetStatus) client.Object {
		set := obj.(*appsv1.ReplicaSet).DeepCopy()
		set.Status = status
		return set
	},
	list: func(ctx context.Context, read client.Reader, namespace string) ([]*appsv1.ReplicaSet, error) {
		var list appsv1.ReplicaSetList
		if err := read.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, err
		}
		sets := make([]*appsv1.ReplicaSet, len(list.Items))
		for i := range list.Items {
			sets[i] = &list.Items[i]
		}
		return sets, nil
	},
	deployed: true,
}

var replicationControllers = kind{
	gvk:    corev1.SchemeGroupVersion.WithKind("ReplicationController"),
	object: func() client.Object { return &corev1.ReplicationController{} },
	set: func(obj client.Object) *appsv1.ReplicaSet {
		return plan.FromController(obj.(*corev1.ReplicationController))
	},
	withStatus: func(obj client.Object, status appsv1.ReplicaSetStatus) client.Object {
		rc := obj.(*corev1.ReplicationController).DeepCopy()
		rc.Status = plan.ControllerStatus(status)
		return rc
	},
	list: func(ctx context.Context, read client.Reader, namespace string) ([]*appsv1.ReplicaSet, error) {
		var list corev1.ReplicationControllerList
		if err := read.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, err
		}
		sets := make([]*appsv1.ReplicaSet, len(list.Items))
		for i := range list.Items {
			sets[i] = plan.FromController(&list.Items[i])
		}
		return sets, nil
	},
}
