package cronjob

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/cronjob"
)

// pass is one reconcile of one CronJob.
type pass struct {
	*reconciler
	write   loop.Writer
	cronJob *batchv1.CronJob
}

// run writes the status also when something before it failed.
func (p *pass) run(ctx context.Context) (reconcile.Result, error) {
	facts, zone, err := p.facts(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	decided := plan.Decide(facts)
	for _, e := range decided.Events {
		p.env.Events.Event(p.cronJob, e.Type, e.Reason, e.Message)
	}
	var errs []error
	for _, j := range decided.Delete {
		errs = append(errs, p.delete(ctx, j.Name, j.UID))
	}
	status := decided.Status
	again := decided.Again
	if decided.Start != nil {
		key := client.ObjectKeyFromObject(p.cronJob)
		if left := p.patience.Left(key, p.cronJob.Generation); left > 0 {
			again = loop.Sooner(again, left)
		} else if status, err = p.start(ctx, decided, zone); err != nil {
			errs = append(errs, err)
			p.patience.Failed(key, p.cronJob.Generation)
		} else {
			p.patience.Forget(key)
		}
	}
	if plan.Changed(&p.cronJob.Status, &status) {
		c := p.cronJob.DeepCopy()
		c.Status = status
		errs = append(errs, client.IgnoreNotFound(p.write.Status().Update(ctx, c)))
	}
	return reconcile.Result{RequeueAfter: again}, errors.Join(errs...)
}

// facts gathers what the planner wants.
func (p *pass) facts(ctx context.Context) (plan.Facts, *time.Location, error) {
	f := plan.Facts{CronJob: p.cronJob, Gone: map[types.UID]bool{}, Now: p.env.Clock.Now()}
	var jobs batchv1.JobList
	if err := p.env.Cache.List(ctx, &jobs, client.InNamespace(p.cronJob.Namespace), client.MatchingFields{loop.OwnerUID: string(p.cronJob.UID)}); err != nil {
		return f, nil, err
	}
	for i := range jobs.Items {
		f.Jobs = append(f.Jobs, &jobs.Items[i])
	}
	for _, active := range p.cronJob.Status.Active {
		j := &batchv1.Job{}
		err := p.env.Cache.Get(ctx, types.NamespacedName{Namespace: active.Namespace, Name: active.Name}, j)
		if client.IgnoreNotFound(err) != nil {
			return f, nil, err
		}
		f.Gone[active.UID] = err != nil || j.UID != active.UID
	}
	m := p.recall(p.cronJob, p.cronJob.Spec.Schedule+" "+ptr.Deref(p.cronJob.Spec.TimeZone, ""))
	f.Since = m.since
	told := map[types.UID]bool{}
	for _, j := range plan.Unexpected(f) {
		told[j.UID] = true
		if !m.unexpected[j.UID] {
			f.Problem = append(f.Problem, plan.Event{
				Type: corev1.EventTypeWarning, Reason: "UnexpectedJob",
				Message: "Saw a job that the controller did not create or forgot: " + j.Name,
			})
		}
	}
	m.unexpected = told
	p.remember(client.ObjectKeyFromObject(p.cronJob), &m)
	read, zone := schedule(p.cronJob, &f)
	f.Schedule = read
	return f, zone, nil
}

// schedule reads the schedule and its time zone, or says why that is no use.
func schedule(c *batchv1.CronJob, f *plan.Facts) (plan.Schedule, *time.Location) {
	warn := func(reason, message string, args ...any) {
		f.Problem = append(f.Problem, plan.Event{Type: corev1.EventTypeWarning, Reason: reason, Message: fmt.Sprintf(message, args...)})
	}
	zone, text := time.UTC, c.Spec.Schedule
	if name := c.Spec.TimeZone; name != nil {
		found, err := time.LoadLocation(*name)
		if err != nil {
			warn("UnknownTimeZone", "invalid timeZone: %q: %s", *name, err)
			return nil, zone
		}
		zone, text = found, fmt.Sprintf("TZ=%s %s", *name, text)
	}
	if ptr.Deref(c.Spec.Suspend, false) {
		return nil, zone
	}
	if strings.Contains(c.Spec.Schedule, "TZ") {
		text = c.Spec.Schedule
		warn("UnsupportedSchedule", "CRON_TZ or TZ used in schedule %q is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details", text)
	}
	read, err := parse(text)
	if err != nil {
		warn("UnparseableSchedule", "unparseable schedule: %q : %s", c.Spec.Schedule, err)
		return nil, zone
	}
	return read, zone
}

// parse reads a schedule. The library panics at some that are none.
func parse(text string) (read cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("invalid schedule format: %v", r)
		}
	}()
	return cron.ParseStandard(text)
}

// start makes way if need be and makes the job. One that is there already was
// made by a process that died before it could write so; or by somebody else, who
// is left to it.
func (p *pass) start(ctx context.Context, decided plan.Plan, zone *time.Location) (batchv1.CronJobStatus, error) {
	for _, uid := range decided.Replace {
		for _, r := range p.cronJob.Status.Active {
			if r.UID != uid {
				continue
			}
			if err := p.delete(ctx, r.Name, uid); err != nil {
				return p.cronJob.Status, fmt.Errorf("could not replace job %s/%s: %w", r.Namespace, r.Name, err)
			}
		}
	}
	j := plan.NewJob(p.cronJob, *decided.Start, zone)
	err := p.write.Create(ctx, j)
	switch {
	case err == nil:
		p.env.Events.Event(p.cronJob, corev1.EventTypeNormal, "SuccessfulCreate", "Created job "+j.Name)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return decided.Status, nil
	case apierrors.IsAlreadyExists(err):
		there := &batchv1.Job{}
		if err := p.env.Live.Get(ctx, client.ObjectKeyFromObject(j), there); err != nil {
			return decided.Status, err
		}
		if !metav1.IsControlledBy(there, p.cronJob) {
			return decided.Status, nil
		}
		j = there
	default:
		p.env.Events.Event(p.cronJob, corev1.EventTypeWarning, "FailedCreate", "Error creating job: "+err.Error())
		return decided.Status, err
	}
	return plan.Started(decided.Status, j, *decided.Start), nil
}

// delete deletes a job, and its pods after it.
func (p *pass) delete(ctx context.Context, name string, uid types.UID) error {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: p.cronJob.Namespace, Name: name, UID: uid}}
	err := client.IgnoreNotFound(p.write.Delete(ctx, j, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	if err != nil {
		p.env.Events.Event(p.cronJob, corev1.EventTypeWarning, "FailedDelete", fmt.Sprintf("Deleted job: %v", err))
		return err
	}
	p.env.Events.Event(p.cronJob, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted job "+name)
	return nil
}
