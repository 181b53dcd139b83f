// Package daemonset is the loop of DaemonSets: it reads a set with its pods and
// revisions and all nodes from the cache, asks plan/daemonset what to do, and
// does it.
package daemonset

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
const User = "system:serviceaccount:kube-system:daemon-set-controller"

// workers is how many sets are reconciled at once.
const workers = 8

var kind = appsv1.SchemeGroupVersion.WithKind("DaemonSet")

// Loop declares the loop of DaemonSets.
func Loop() loop.Loop {
	return loop.Loop{
		Name: "daemonset", User: User, Workers: workers,
		Watches: watches(),
		Indexes: []loop.Index{loop.ByOwner(&corev1.Pod{}), loop.ByOwner(&appsv1.ControllerRevision{})},
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{env: env, own: loop.NewOwnWrites(env), patience: loop.NewPatience(env.Clock), doubts: owned.NewDoubts(), memory: newMemory()}
		},
	}
}

type reconciler struct {
	env      loop.Env
	own      *loop.OwnWrites
	patience *loop.Patience
	doubts   *owned.Doubts
	memory   *memory
}

// Reconcile brings one set a step closer to what is wanted. A set that is being
// deleted leaves all to the garbage collector.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := req.NamespacedName
	if !r.own.Seen(ctx, key) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	set := &appsv1.DaemonSet{}
	if err := r.env.Cache.Get(ctx, key, set); err != nil {
		r.patience.Forget(key)
		r.doubts.Forget(key)
		r.memory.forget(key)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if set.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if rest := r.memory.rest(set, r.env.Clock.Now()); rest > 0 {
		return reconcile.Result{RequeueAfter: rest}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, nil // the API accepts no such set
	}
	if selector.Empty() { // nor such a one
		r.env.Events.Event(set, corev1.EventTypeWarning, "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required.")
		return reconcile.Result{}, nil
	}
	p := &pass{reconciler: r, write: r.own.Writer(key), key: key, set: set, selector: selector}
	result, err := p.run(ctx)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("%s %s: %w", kind.Kind, key, err)
	}
	return result, nil
}
