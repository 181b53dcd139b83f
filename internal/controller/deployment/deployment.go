// Package deployment is the loop of Deployments: it reads one with its
// ReplicaSets from the cache, asks plan/deployment what to do, and does it.
package deployment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
)

// User is the loop's identity.
const User = "system:serviceaccount:kube-system:deployment-controller"

// Loop declares the loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name: "deployment", User: User, Workers: 8,
		Watches: watches(),
		Indexes: []loop.Index{loop.ByOwner(&appsv1.ReplicaSet{}), loop.ByOwner(&corev1.Pod{})},
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{env: env, own: loop.NewOwnWrites(env), patience: loop.NewPatience(env.Clock)}
		},
	}
}

type reconciler struct {
	env      loop.Env
	own      *loop.OwnWrites
	patience *loop.Patience
}

// Reconcile brings one Deployment a step closer to what is wanted.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !r.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	d := &appsv1.Deployment{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, d); err != nil {
		r.patience.Forget(req.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil || selector.Empty() {
		return reconcile.Result{}, nil // the API accepts no such Deployment
	}
	write := r.own.Writer(req.NamespacedName)
	p := &pass{
		reconciler: r, write: write, key: req.NamespacedName, selector: selector,
		owner: owned.New(r.env, write, d, appsv1.SchemeGroupVersion.WithKind("Deployment")),
	}
	p.facts.Deployment, p.facts.Now = d, r.env.Clock.Now()
	result, err := p.run(ctx)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reconcile Deployment %s: %w", req, err)
	}
	return result, nil
}
