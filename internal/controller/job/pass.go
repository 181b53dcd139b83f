package job

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/job"
)

// pass is one reconcile of one job.
type pass struct {
	*reconciler
	write    loop.Writer
	key      types.NamespacedName
	job      *batchv1.Job
	selector labels.Selector
	owner    *owned.Owner
}

// run carries a plan out in its order: what was written down may be let go, and
// nothing is let go before.
func (p *pass) run(ctx context.Context) (reconcile.Result, error) {
	p.owner = owned.New(p.env, p.write, p.job, kind).Tracking(batchv1.JobTrackingFinalizer)
	pods, changed, err := p.pods(ctx)
	if err != nil || changed {
		return reconcile.Result{}, err // adopted or released: the event of that wakes us
	}
	decided := plan.Decide(plan.Facts{Job: p.job, Pods: pods, Backoff: p.backoff(p.key, p.job.UID), Now: p.env.Clock.Now()})
	if plan.Finished(p.job) != nil {
		p.forget(p.key)
		return reconcile.Result{}, p.release(ctx, decided.Release)
	}
	if err := loop.Each(len(decided.Remove), p.env.Parallel, func(i int) error { return p.remove(ctx, decided.Remove[i]) }); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	if len(decided.Create) > 0 { // an index must not be given to two pods
		if settled, err := p.doubts.Settled(ctx, p.key, p.owner, p.selector, pods); err != nil || !settled {
			return reconcile.Result{RequeueAfter: loop.Lost}, err
		}
	}
	made, wait := p.create(ctx, decided.Create)
	decided.Status.Active -= int32(len(decided.Create) - made)
	if err := p.store(ctx, decided); err != nil {
		return reconcile.Result{}, err
	}
	errs := []error{
		loop.Each(len(decided.Stop), p.env.Parallel, func(i int) error { return p.stop(ctx, decided.Stop[i]) }),
		p.release(ctx, decided.Release),
	}
	return reconcile.Result{RequeueAfter: loop.Sooner(decided.Again, wait)}, errors.Join(errs...)
}

// store writes the status if it says something new, and tells what it tells.
func (p *pass) store(ctx context.Context, decided plan.Plan) error {
	if plan.Changed(&p.job.Status, &decided.Status) {
		job := p.job.DeepCopy()
		job.Status = decided.Status
		if err := p.write.Status().Update(ctx, job); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	p.remember(p.key, p.job.UID, decided.Backoff)
	for _, e := range decided.Events {
		p.env.Events.Event(p.job, e.Type, e.Reason, e.Message)
	}
	return nil
}

// create makes pods and returns how many, and how long to wait when not all.
func (p *pass) create(ctx context.Context, pods []plan.Pod) (int, time.Duration) {
	if len(pods) == 0 {
		p.patience.Forget(p.key)
		return 0, 0
	}
	if left := p.patience.Left(p.key, p.job.Generation); left > 0 {
		return 0, left
	}
	var made atomic.Int32
	err := loop.SlowStart(len(pods), p.env.Parallel, func(i int) error {
		pod := plan.NewPod(p.job, pods[i], p.owner.Ref())
		err := p.write.Create(ctx, pod)
		switch {
		case err == nil:
			made.Add(1)
			p.env.Events.Event(p.job, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: "+pod.Name)
		case loop.NamespaceEnds(err): // not worth a word
		default:
			p.env.Events.Event(p.job, corev1.EventTypeWarning, "FailedCreate", "Error creating: "+err.Error())
		}
		return err
	})
	if loop.NamespaceEnds(err) {
		p.patience.Failed(p.key, p.job.Generation)
		return int(made.Load()), 0
	}
	if err != nil {
		p.doubts.Failed(p.key)
		return int(made.Load()), p.patience.Failed(p.key, p.job.Generation)
	}
	p.patience.Forget(p.key)
	return int(made.Load()), 0
}

// remove takes a pod away that is not to be counted, if it is still as it was
// seen: one that has ended meanwhile is.
func (p *pass) remove(ctx context.Context, pod *corev1.Pod) error {
	marked := pod.DeepCopy()
	if pod.Annotations[plan.Discard] == "" {
		if err := patch(ctx, p.write, marked, map[string]any{
			"uid": pod.UID, "resourceVersion": pod.ResourceVersion, "annotations": map[string]string{plan.Discard: "true"},
		}); err != nil {
			return err
		}
	}
	return p.delete(ctx, marked, client.Preconditions{UID: &marked.UID, ResourceVersion: &marked.ResourceVersion})
}

func (p *pass) stop(ctx context.Context, pod *corev1.Pod) error {
	return p.delete(ctx, pod, client.Preconditions{UID: &pod.UID})
}

func (p *pass) delete(ctx context.Context, pod *corev1.Pod, only client.Preconditions) error {
	gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}}
	err := client.IgnoreNotFound(p.write.Delete(ctx, gone, only))
	switch {
	case err == nil:
		p.env.Events.Event(p.job, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: "+pod.Name)
	case !apierrors.IsConflict(err):
		p.env.Events.Event(p.job, corev1.EventTypeWarning, "FailedDelete", "Error deleting: "+err.Error())
	}
	return err
}

func (p *pass) release(ctx context.Context, pods []*corev1.Pod) error {
	return loop.Each(len(pods), p.env.Parallel, func(i int) error { return untrack(ctx, p.write, pods[i]) })
}

// untrack takes the tracking finalizer from this very pod.
func untrack(ctx context.Context, write loop.Writer, pod *corev1.Pod) error {
	if !plan.Tracked(pod) {
		return nil
	}
	return client.IgnoreNotFound(patch(ctx, write, pod.DeepCopy(), map[string]any{
		"uid":                                 pod.UID,
		"$deleteFromPrimitiveList/finalizers": []string{batchv1.JobTrackingFinalizer},
	}))
}

func patch(ctx context.Context, write loop.Writer, pod *corev1.Pod, metadata map[string]any) error {
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	return write.Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, data))
}

// pods are the job's own. Orphans that it selects are adopted.
func (p *pass) pods(ctx context.Context) ([]*corev1.Pod, bool, error) {
	mine, orphans, err := owned.List(ctx, p.owner, &corev1.PodList{}, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	if err != nil {
		return nil, false, err
	}
	if plan.Finished(p.job) != nil {
		return mine, false, nil
	}
	return owned.Claim(ctx, p.owner, "Pod", mine, orphans, func(pod *corev1.Pod) bool { return p.selector.Matches(labels.Set(pod.Labels)) })
}
