package job

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/job"
)

// TTLUser is the identity of the loop that deletes finished jobs.
const TTLUser = "system:serviceaccount:kube-system:ttl-after-finished-controller"

// TTLLoop declares the loop that deletes jobs spec.ttlSecondsAfterFinished after
// their end.
func TTLLoop() loop.Loop {
	return loop.Loop{
		Name: "ttl-after-finished", User: TTLUser,
		Watches: []loop.Watch{{Kind: &batchv1.Job{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			if job, ok := ev.New.(*batchv1.Job); ok {
				if _, ends := plan.Expires(job); ends {
					return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(job)}}
				}
			}
			return nil
		}}},
		New: func(env loop.Env) reconcile.Reconciler { return &expirer{env} },
	}
}

type expirer struct{ env loop.Env }

// Reconcile deletes one job if its time has come. The API server is asked before:
// the time may have been prolonged.
func (e *expirer) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	for _, read := range []client.Reader{e.env.Cache, e.env.Live} {
		job := &batchv1.Job{}
		if err := read.Get(ctx, req.NamespacedName, job); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		at, ends := plan.Expires(job)
		if !ends {
			return reconcile.Result{}, nil
		}
		if left := at.Sub(e.env.Clock.Now()); left > 0 {
			return reconcile.Result{RequeueAfter: max(left, time.Millisecond)}, nil
		}
		if read == e.env.Live {
			gone := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: job.Name, UID: job.UID}}
			err := e.env.Write.Delete(ctx, gone, client.PropagationPolicy(metav1.DeletePropagationForeground),
				client.Preconditions{UID: &job.UID, ResourceVersion: &job.ResourceVersion})
			if err != nil && !apierrors.IsNotFound(err) {
				return reconcile.Result{}, fmt.Errorf("delete Job %s, finished long enough ago: %w", req, err)
			}
		}
	}
	return reconcile.Result{}, nil
}
