// Package replicaset is the loop of ReplicaSets and, once more, of
// ReplicationControllers: it reads a set with its pods from the cache, asks
// plan/replicaset what to do, and does it.
package replicaset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// The loops' identities.
const (
	User           = "system:serviceaccount:kube-system:replicaset-controller"
	ControllerUser = "system:serviceaccount:kube-system:replication-controller"
)

// Loop declares the loop of ReplicaSets.
func Loop() loop.Loop {
	l := loopOf(replicaSets)
	l.Name, l.User, l.Workers = "replicaset", User, 8
	l.Indexes = append(l.Indexes, loop.ByOwner(&appsv1.ReplicaSet{}))
	return l
}

// ControllerLoop declares the loop of ReplicationControllers.
func ControllerLoop() loop.Loop {
	l := loopOf(replicationControllers)
	l.Name, l.Source, l.User, l.Workers = "replicationcontroller", "replication-controller", ControllerUser, 2
	return l
}

func loopOf(k kind) loop.Loop {
	return loop.Loop{
		Watches: k.watches(),
		Indexes: []loop.Index{loop.ByOwner(&corev1.Pod{})},
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{kind: k, env: env, own: loop.NewOwnWrites(env), patience: loop.NewPatience(env.Clock)}
		},
	}
}

type reconciler struct {
	kind     kind
	env      loop.Env
	own      *loop.OwnWrites
	patience *loop.Patience
}

// Reconcile brings one set a step closer to what is wanted.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !r.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	obj := r.kind.object()
	if err := r.env.Cache.Get(ctx, req.NamespacedName, obj); err != nil {
		r.patience.Forget(req.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	set := r.kind.set(obj)
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil || selector.Empty() {
		return reconcile.Result{}, nil // the API accepts no such set; upstream drops it too
	}
	p := &pass{reconciler: r, write: r.own.Writer(req.NamespacedName), key: req.NamespacedName, obj: obj, set: set, selector: selector}
	result, err := p.run(ctx)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("%s %s: %w", r.kind.gvk.Kind, req, err)
	}
	return result, nil
}
