package cronjob

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/job"
)

// Facts are what a decision rests on. They are not changed.
type Facts struct {
	CronJob *batchv1.CronJob
	Jobs    []*batchv1.Job // those that the CronJob controls
	// Gone are the active jobs that do not exist any more.
	Gone map[types.UID]bool
	// Schedule is the one of the spec in its time zone; nil when it cannot be
	// used, and Problem tells of it.
	Schedule Schedule
	Problem  []Event
	// Since is when the schedule was changed: times up to then are not made up for.
	Since time.Time
	Now   time.Time
}

// Plan is what to do.
type Plan struct {
	Delete  []*batchv1.Job // finished ones of which there are enough
	Replace []types.UID    // active ones that give way to the next
	Start   *time.Time     // the time that a job is to be made for
	Status  batchv1.CronJobStatus
	Events  []Event
	Again   time.Duration
}

// Event is one about the CronJob.
type Event struct{ Type, Reason, Message string }

// Changed reports whether a status says something new.
func Changed(old, status *batchv1.CronJobStatus) bool {
	return !equality.Semantic.DeepEqual(old, status)
}

// Decide says what a CronJob does next.
func Decide(f Facts) Plan {
	p := Plan{Status: *f.CronJob.Status.DeepCopy()}
	p.clean(f)
	p.follow(f)
	if f.CronJob.DeletionTimestamp != nil {
		return p
	}
	spec := &f.CronJob.Spec
	p.Events = append(p.Events, f.Problem...)
	if f.Schedule == nil || ptr.Deref(spec.Suspend, false) {
		return p
	}
	d, err := lastDue(f.CronJob, f.Schedule, f.Now, true)
	if err != nil {
		p.tell(corev1.EventTypeWarning, "InvalidSchedule", "invalid schedule: %s : %s", spec.Schedule, err)
		return p
	}
	p.Again = max(untilNext(f.CronJob, f.Schedule, f.Now), lateness)
	if d.at.IsZero() || !d.at.After(f.Since) {
		return p
	}
	if d.missed > manyMissed {
		p.tell(corev1.EventTypeWarning, "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
	}
	if limit := spec.StartingDeadlineSeconds; limit != nil && d.at.Add(time.Duration(*limit)*time.Second).Before(f.Now) {
		p.tell(corev1.EventTypeWarning, "MissSchedule", "Missed scheduled time to start a job: %s", d.at.UTC().Format(time.RFC1123Z))
		return p
	}
	name := JobName(f.CronJob, d.at)
	if slices.ContainsFunc(p.Status.Active, func(r corev1.ObjectReference) bool { return r.Name == name }) ||
		p.Status.LastScheduleTime.Equal(&metav1.Time{Time: d.at}) {
		return p
	}
	switch active := len(p.Status.Active); {
	case spec.ConcurrencyPolicy == batchv1.ForbidConcurrent && active > 0:
		p.tell(corev1.EventTypeNormal, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
		return p
	case spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent:
		for _, r := range p.Status.Active {
			p.Replace = append(p.Replace, r.UID)
		}
		p.Status.Active = nil
	}
	p.Start = &d.at
	return p
}

func (p *Plan) tell(kind, reason, message string, args ...any) {
	p.Events = append(p.Events, Event{kind, reason, fmt.Sprintf(message, args...)})
}

// clean finds the oldest finished jobs beyond those that are to be kept.
func (p *Plan) clean(f Facts) {
	for t, limit := range map[batchv1.JobConditionType]*int32{
		batchv1.JobComplete: f.CronJob.Spec.SuccessfulJobsHistoryLimit, batchv1.JobFailed: f.CronJob.Spec.FailedJobsHistoryLimit,
	} {
		var ended []*batchv1.Job
		for _, j := range f.Jobs {
			if c := job.Finished(j); c != nil && c.Type == t && j.DeletionTimestamp == nil {
				ended = append(ended, j)
			}
		}
		if limit == nil || len(ended) <= int(*limit) {
			continue
		}
		slices.SortFunc(ended, byStart)
		p.Delete = append(p.Delete, ended[:len(ended)-int(*limit)]...)
	}
	slices.SortFunc(p.Delete, byStart)
}

// byStart orders jobs by their start; those that have not started come last.
func byStart(a, b *batchv1.Job) int {
	started := func(j *batchv1.Job) int { return map[bool]int{true: 1}[j.Status.StartTime == nil] }
	by := cmp.Compare(started(a), started(b))
	if by == 0 && a.Status.StartTime != nil {
		by = a.Status.StartTime.Compare(b.Status.StartTime.Time)
	}
	return cmp.Or(by, cmp.Compare(a.Name, b.Name))
}

// follow takes the jobs that have ended off the list of active ones.
func (p *Plan) follow(f Facts) {
	listed := map[types.UID]bool{}
	for _, r := range p.Status.Active {
		listed[r.UID] = true
	}
	for _, j := range f.Jobs {
		end := job.Finished(j)
		if end == nil {
			continue
		}
		if listed[j.UID] {
			p.drop(j.UID)
			p.tell(corev1.EventTypeNormal, "SawCompletedJob", "Saw completed job: %s, condition: %v", j.Name, end.Type)
		}
		if at := j.Status.CompletionTime; end.Type == batchv1.JobComplete && at != nil &&
			(p.Status.LastSuccessfulTime == nil || at.After(p.Status.LastSuccessfulTime.Time)) {
			p.Status.LastSuccessfulTime = at.DeepCopy()
		}
	}
	for _, r := range slices.Clone(p.Status.Active) {
		if f.Gone[r.UID] {
			p.tell(corev1.EventTypeNormal, "MissingJob", "Active job went missing: %v", r.Name)
			p.drop(r.UID)
		}
	}
}

func (p *Plan) drop(uid types.UID) {
	p.Status.Active = slices.DeleteFunc(p.Status.Active, func(r corev1.ObjectReference) bool { return r.UID == uid })
	if len(p.Status.Active) == 0 {
		p.Status.Active = nil
	}
}

// Unexpected are the jobs that run for the CronJob without being on its list.
func Unexpected(f Facts) []*batchv1.Job {
	return slices.DeleteFunc(slices.Clone(f.Jobs), func(j *batchv1.Job) bool {
		return job.Finished(j) != nil || slices.ContainsFunc(f.CronJob.Status.Active, func(r corev1.ObjectReference) bool { return r.UID == j.UID })
	})
}

// Started is the status with a job that was made for a time.
func Started(status batchv1.CronJobStatus, j *batchv1.Job, at time.Time) batchv1.CronJobStatus {
	status.Active = append(slices.Clone(status.Active), corev1.ObjectReference{
		APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job",
		Namespace: j.Namespace, Name: j.Name, UID: j.UID, ResourceVersion: j.ResourceVersion,
	})
	status.LastScheduleTime = &metav1.Time{Time: at}
	return status
}

// JobName is the name of the job that is made for a time.
func JobName(c *batchv1.CronJob, at time.Time) string {
	return fmt.Sprintf("%s-%d", c.Name, at.Unix()/60)
}

// NewJob renders the job for a time, which is told in the CronJob's time zone.
func NewJob(c *batchv1.CronJob, at time.Time, zone *time.Location) *batchv1.Job {
	template := &c.Spec.JobTemplate
	annotations := maps.Clone(template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[batchv1.CronJobScheduledTimestampAnnotation] = at.In(zone).Format(time.RFC3339)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: JobName(c, at), Labels: maps.Clone(template.Labels), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(c, batchv1.SchemeGroupVersion.WithKind("CronJob"))},
		},
		Spec: *template.Spec.DeepCopy(),
	}
}
