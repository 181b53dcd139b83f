package job

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/job"
)

// OrphanLoop declares the loop that takes the tracking finalizer from pods that
// no job counts any more. Its keys are pods.
func OrphanLoop() loop.Loop {
	return loop.Loop{
		Name: "job-orphans", Source: "job-controller", User: User,
		Watches: []loop.Watch{
			{Kind: &corev1.Pod{}, Map: func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
				if pod, ok := ev.New.(*corev1.Pod); ok && plan.Tracked(pod) && !hasJob(ctx, read, pod) {
					return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(pod)}}
				}
				return nil
			}},
			{Kind: &batchv1.Job{}, Map: func(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
				if ev.New != nil {
					return nil
				}
				var pods corev1.PodList
				if err := read.List(ctx, &pods, client.InNamespace(ev.Old.GetNamespace()), client.MatchingFields{loop.OwnerUID: string(ev.Old.GetUID())}); err != nil {
					return nil
				}
				var all []reconcile.Request
				for i := range pods.Items {
					if plan.Tracked(&pods.Items[i]) {
						all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pods.Items[i])})
					}
				}
				return all
			}},
		},
		Indexes: []loop.Index{loop.ByOwner(&corev1.Pod{})},
		New:     func(env loop.Env) reconcile.Reconciler { return &cleaner{env} },
	}
}

// hasJob reports whether the pod's job is there, or another kind looks after it.
func hasJob(ctx context.Context, read client.Reader, pod *corev1.Pod) bool {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return false
	}
	key, ok := jobOf(pod)
	if !ok {
		return true
	}
	job := &batchv1.Job{}
	err := read.Get(ctx, key, job)
	return err == nil && job.UID == ref.UID || client.IgnoreNotFound(err) != nil
}

type cleaner struct{ env loop.Env }

// Reconcile lets one pod go, once the API server has said that its job is gone.
func (c *cleaner) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !plan.Tracked(pod) || hasJob(ctx, c.env.Cache, pod) || c.wanted(ctx, pod) || hasJob(ctx, c.env.Live, pod) {
		return reconcile.Result{}, nil
	}
	if err := untrack(ctx, c.env.Write, pod); err != nil {
		return reconcile.Result{}, fmt.Errorf("let go of pod %s, whose job is gone: %w", req, err)
	}
	return reconcile.Result{}, nil
}

// wanted reports whether a job will adopt the pod: that would put the finalizer
// on again.
func (c *cleaner) wanted(ctx context.Context, pod *corev1.Pod) bool {
	if metav1.GetControllerOfNoCopy(pod) != nil || pod.DeletionTimestamp != nil {
		return false
	}
	for _, req := range jobsOfPod(ctx, c.env.Cache, loop.Event{New: pod}) {
		job := &batchv1.Job{}
		if err := c.env.Cache.Get(ctx, req.NamespacedName, job); err == nil && plan.Finished(job) == nil && job.DeletionTimestamp == nil {
			return true
		}
	}
	return false
}
