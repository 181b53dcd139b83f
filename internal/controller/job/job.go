// Package job is the loop of Jobs: it reads a job with its pods from the cache,
// asks plan/job what to do, and does it. Its second loop takes the tracking
// finalizer from pods whose job is gone, its third deletes jobs that have been
// finished for long enough.
package job

import (
	"context"
	"fmt"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/job"
)

// User is the loop's identity.
const User = "system:serviceaccount:kube-system:job-controller"

const workers = 8

var kind = batchv1.SchemeGroupVersion.WithKind("Job")

// Loop declares the loop of Jobs.
func Loop() loop.Loop {
	return loop.Loop{
		Name: "job", User: User, Workers: workers,
		Watches: []loop.Watch{
			{Kind: &batchv1.Job{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
			}},
			{Kind: &corev1.Pod{}, Map: jobsOfPod},
		},
		Indexes: []loop.Index{loop.ByOwner(&corev1.Pod{})},
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{env: env, own: loop.NewOwnWrites(env), patience: loop.NewPatience(env.Clock), doubts: owned.NewDoubts(), backoffs: map[types.NamespacedName]remembered{}}
		},
	}
}

type reconciler struct {
	env      loop.Env
	own      *loop.OwnWrites
	patience *loop.Patience
	doubts   *owned.Doubts

	mu       sync.Mutex
	backoffs map[types.NamespacedName]remembered
}

// remembered is the backoff of the job that had the name.
type remembered struct {
	uid types.UID
	plan.Backoff
}

// Reconcile brings one job a step closer to its end.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !r.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	job := &batchv1.Job{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, job); err != nil {
		r.forget(req.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if plan.ExternallyManaged(job) {
		return reconcile.Result{}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(job.Spec.Selector)
	if err != nil || selector.Empty() {
		return reconcile.Result{}, nil // the API accepts no such job
	}
	p := &pass{reconciler: r, write: r.own.Writer(req.NamespacedName), key: req.NamespacedName, job: job, selector: selector}
	result, err := p.run(ctx)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("%s %s: %w", kind.Kind, req, err)
	}
	return result, nil
}

func (r *reconciler) forget(key types.NamespacedName) {
	r.patience.Forget(key)
	r.doubts.Forget(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.backoffs, key)
}

// backoff is what is remembered of the job, nil when nothing is.
func (r *reconciler) backoff(key types.NamespacedName, uid types.UID) *plan.Backoff {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.backoffs[key]; ok && known.uid == uid {
		return &known.Backoff
	}
	return nil
}

func (r *reconciler) remember(key types.NamespacedName, uid types.UID, b plan.Backoff) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backoffs[key] = remembered{uid, b}
}
