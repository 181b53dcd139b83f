package job

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// end is how a job ends.
type end struct {
	success         bool
	reason, message string
}

// verdict says that the job has come to its end: what was announced before
// holds, failures go before successes.
func (d *decision) verdict() *end {
	if c := holds(&d.Status, batchv1.JobSuccessCriteriaMet); c != nil {
		return &end{true, c.Reason, c.Message}
	}
	if c := holds(&d.Status, batchv1.JobFailureTarget); c != nil {
		return &end{false, c.Reason, c.Message}
	}
	if e := d.policyFails(); e != nil {
		return e
	}
	if d.failed > int(ptr.Deref(d.Job.Spec.BackoffLimit, 6)) || d.tooManyRestarts() {
		return &end{false, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit"}
	}
	if e := d.deadline(); e != nil {
		return e
	}
	if !indexed(d.Job) {
		return nil
	}
	if d.lost != nil {
		most := d.Job.Spec.MaxFailedIndexes
		if most != nil && d.lost.Total() > int(*most) {
			return &end{false, batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes"}
		}
		if d.lost.Total() > 0 && d.lost.Total()+d.done.Total() >= d.completions() {
			return &end{false, batchv1.JobReasonFailedIndexes, "Job has failed indexes"}
		}
	}
	if message, met := enough(d.Job.Spec.SuccessPolicy, d.completions(), d.done); met {
		return &end{true, batchv1.JobReasonSuccessPolicy, message}
	}
	return nil
}

func (d *decision) policyFails() *end {
	if d.Job.Spec.PodFailurePolicy == nil {
		return nil
	}
	for _, pod := range d.Pods {
		if failed(d.Job, pod) && !discarded(pod) {
			if why := judge(d.Job.Spec.PodFailurePolicy, pod).Ends; why != "" {
				return &end{false, batchv1.JobReasonPodFailurePolicy, why}
			}
		}
	}
	return nil
}

// tooManyRestarts: pods that start their containers again fail in place.
func (d *decision) tooManyRestarts() bool {
	if d.Job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	return restarts(d.Pods) >= max(ptr.Deref(d.Job.Spec.BackoffLimit, 6), 1)
}

// deadline ends a job that has run for too long, or says when to look again.
func (d *decision) deadline() *end {
	limit := d.Job.Spec.ActiveDeadlineSeconds
	if limit == nil || suspended(d.Job) {
		return nil
	}
	left := d.Status.StartTime.Add(time.Duration(*limit) * time.Second).Sub(d.Now)
	if left <= 0 {
		return &end{false, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline"}
	}
	d.wait(left)
	return nil
}

// wait has the job looked at again after a while.
func (d *decision) wait(left time.Duration) {
	if d.Again == 0 || left < d.Again {
		d.Again = left
	}
}

// complete says that as many pods have succeeded as were asked for, and that
// none runs any more.
func (d *decision) complete() *end {
	if len(d.active)+len(d.Create) > 0 {
		return nil
	}
	if d.Job.Spec.Completions == nil && d.succeeded > 0 || d.Job.Spec.Completions != nil && d.succeeded >= d.completions() {
		return &end{true, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods"}
	}
	return nil
}

// tellSuspension says whether the job stands still. The clock of a job that goes
// on again starts anew.
func (d *decision) tellSuspension() {
	if suspended(d.Job) {
		if d.set(batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended") {
			d.Status.StartTime = nil
			d.Events = append(d.Events, Event{corev1.EventTypeNormal, "Suspended", "Job suspended"})
		}
		return
	}
	if condition(&d.Status, batchv1.JobSuspended) == nil {
		return
	}
	if d.set(batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed") {
		d.Status.StartTime = &metav1.Time{Time: d.Now}
		d.Events = append(d.Events, Event{corev1.EventTypeNormal, "Resumed", "Job resumed"})
	}
}

// set makes a condition say so, and reports whether it did not before.
func (d *decision) set(t batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string) bool {
	now := metav1.NewTime(d.Now)
	says := batchv1.JobCondition{Type: t, Status: status, Reason: reason, Message: message, LastProbeTime: now, LastTransitionTime: now}
	had := condition(&d.Status, t)
	switch {
	case had == nil:
		d.Status.Conditions = append(d.Status.Conditions, says)
	case had.Status == status && had.Reason == reason && had.Message == message:
		return false
	default:
		*had = says
	}
	return true
}

// announce tells the end, and makes it final when nothing is left to count.
func (d *decision) announce(e end) {
	target, final := batchv1.JobFailureTarget, batchv1.JobFailed
	if e.success {
		target, final = batchv1.JobSuccessCriteriaMet, batchv1.JobComplete
	}
	d.set(target, corev1.ConditionTrue, e.reason, e.message)
	u := d.Status.UncountedTerminatedPods
	if len(d.Release)+len(d.Remove)+len(u.Succeeded)+len(u.Failed)+d.terminating > 0 {
		return
	}
	d.set(final, corev1.ConditionTrue, e.reason, e.message)
	if !e.success {
		d.Events = append(d.Events, Event{corev1.EventTypeWarning, e.reason, e.message})
		return
	}
	d.Status.CompletionTime = &metav1.Time{Time: d.Now}
	if d.Job.Spec.Completions != nil && d.Status.Succeeded > *d.Job.Spec.Completions {
		d.Events = append(d.Events, Event{corev1.EventTypeWarning, "TooManySucceededPods", "Too many succeeded pods running after completion count reached"})
	}
	d.Events = append(d.Events, Event{corev1.EventTypeNormal, "Completed", "Job completed"})
}
