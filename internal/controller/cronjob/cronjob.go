// Package cronjob is the loop of CronJobs: it reads one with its jobs from the
// cache, asks plan/cronjob what to do, and does it.
package cronjob

import (
	"context"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
)

// User is the loop's identity.
const User = "system:serviceaccount:kube-system:cronjob-controller"

// Loop declares the loop of CronJobs.
func Loop() loop.Loop {
	return loop.Loop{
		Name: "cronjob", User: User, Workers: 4,
		Watches: []loop.Watch{
			{Kind: &batchv1.CronJob{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
			}},
			{Kind: &batchv1.Job{}, Map: ownersOfJob},
		},
		Indexes: []loop.Index{loop.ByOwner(&batchv1.Job{})},
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{env: env, own: loop.NewOwnWrites(env), patience: loop.NewPatience(env.Clock), known: map[types.NamespacedName]memory{}}
		},
	}
}

// ownersOfJob wakes the CronJobs that control the job now or did before.
func ownersOfJob(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	return owned.Controllers(ev, batchv1.SchemeGroupVersion.WithKind("CronJob"))
}

type reconciler struct {
	env loop.Env
	own *loop.OwnWrites

	patience *loop.Patience

	mu    sync.Mutex
	known map[types.NamespacedName]memory
}

// memory is what is remembered of the CronJob that had a name.
type memory struct {
	uid      types.UID
	schedule string
	// since is when the schedule was seen to change.
	since time.Time
	// unexpected are the jobs that were told of.
	unexpected map[types.UID]bool
}

// Reconcile starts a job if it is time.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !r.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	c := &batchv1.CronJob{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, c); err != nil {
		r.remember(req.NamespacedName, nil)
		r.patience.Forget(req.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	p := &pass{reconciler: r, write: r.own.Writer(req.NamespacedName), cronJob: c}
	result, err := p.run(ctx)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("CronJob %s: %w", req, err)
	}
	return result, nil
}

func (r *reconciler) remember(key types.NamespacedName, m *memory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m == nil {
		delete(r.known, key)
		return
	}
	r.known[key] = *m
}

// recall is what is known of the CronJob, with the schedule that it has now.
func (r *reconciler) recall(c *batchv1.CronJob, schedule string) memory {
	r.mu.Lock()
	m := r.known[client.ObjectKeyFromObject(c)]
	r.mu.Unlock()
	switch {
	case m.uid != c.UID:
		m = memory{uid: c.UID}
	case m.schedule != schedule:
		m.since = r.env.Clock.Now()
	}
	m.schedule = schedule
	return m
}
