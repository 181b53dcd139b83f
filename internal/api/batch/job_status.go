package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api/validation"
)

// changes are what a new status says otherwise than the old one. Most rules
// look only at what has changed: a status that a rule would refuse may be old,
// or wrong for the moment because the spec has just changed.
type changes struct {
	finished, complete, failed, failureTarget, successCriteriaMet bool
	completedIndexes, failedIndexes                               bool
	active, ready, terminating, uncounted                         bool
	startTime, completionTime                                     bool
}

func changesOf(j, old *batchv1.Job) changes {
	turned := func(t batchv1.JobConditionType) bool { return isTrue(j, t) != isTrue(old, t) }
	s, was := &j.Status, &old.Status
	return changes{
		finished:           finished(j) != finished(old),
		complete:           turned(batchv1.JobComplete),
		failed:             turned(batchv1.JobFailed),
		failureTarget:      turned(batchv1.JobFailureTarget),
		successCriteriaMet: turned(batchv1.JobSuccessCriteriaMet),
		completedIndexes:   s.CompletedIndexes != was.CompletedIndexes,
		failedIndexes:      !ptr.Equal(s.FailedIndexes, was.FailedIndexes),
		active:             s.Active != was.Active,
		ready:              !ptr.Equal(s.Ready, was.Ready),
		terminating:        !ptr.Equal(s.Terminating, was.Terminating),
		uncounted:          !equality.Semantic.DeepEqual(s.UncountedTerminatedPods, was.UncountedTerminatedPods),
		startTime:          !ptr.Equal(s.StartTime, was.StartTime),
		completionTime:     !ptr.Equal(s.CompletionTime, was.CompletionTime),
	}
}

func finished(j *batchv1.Job) bool {
	return isTrue(j, batchv1.JobComplete) || isTrue(j, batchv1.JobFailed)
}

func validateJobStatus(j, old *batchv1.Job) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&j.ObjectMeta, &old.ObjectMeta)
	changed := changesOf(j, old)
	jobCounts(&f, &j.Status)
	jobConditions(&f, j, changed)
	jobEnd(&f, j, changed)
	jobIndexes(&f, j, changed)
	jobPods(&f, j, changed)
	jobSuccess(&f, j)
	jobTransition(&f, j, old, changed)
	return f.List()
}

func jobCounts(f *validation.Findings, s *batchv1.JobStatus) {
	f.Counts(status, validation.Count{Name: "active", N: s.Active}, validation.Count{Name: "succeeded", N: s.Succeeded},
		validation.Count{Name: "failed", N: s.Failed})
	f.OptionalCount(status.Child("ready"), s.Ready)
	f.OptionalCount(status.Child("terminating"), s.Terminating)
	if s.UncountedTerminatedPods == nil {
		return
	}
	seen := map[types.UID]bool{}
	p := status.Child("uncountedTerminatedPods")
	for _, list := range []struct {
		name string
		uids []types.UID
	}{{"succeeded", s.UncountedTerminatedPods.Succeeded}, {"failed", s.UncountedTerminatedPods.Failed}} {
		for i, uid := range list.uids {
			switch p := p.Child(list.name).Index(i); {
			case uid == "":
				f.Invalid(p, uid, "must not be empty")
			case seen[uid]:
				f.Add(field.Duplicate(p, uid))
			}
			seen[uid] = true
		}
	}
}

// conditions says what is wrong with the conditions as a whole.
func conditions(f *validation.Findings, detail string) {
	f.Invalid(status.Child("conditions"), field.OmitValueType{}, detail)
}

func jobConditions(f *validation.Findings, j *batchv1.Job, changed changes) {
	complete := isTrue(j, batchv1.JobComplete)
	if (changed.complete || changed.failed) && complete && isTrue(j, batchv1.JobFailed) {
		conditions(f, "cannot set Complete=True and Failed=true conditions")
	}
	if (changed.complete || changed.failureTarget) && complete && isTrue(j, batchv1.JobFailureTarget) {
		conditions(f, "cannot set Complete=True and FailureTarget=true conditions")
	}
	s := &j.Status
	p := status.Child("completionTime")
	if changed.complete || changed.completionTime {
		if s.CompletionTime != nil && !complete {
			f.Invalid(p, s.CompletionTime, "cannot set completionTime when there is no Complete=True condition")
		}
		if s.CompletionTime == nil && complete {
			f.Required(p, "completionTime is required for Complete jobs")
		}
	}
	if (changed.startTime || changed.completionTime) && s.StartTime != nil && s.CompletionTime != nil && s.CompletionTime.Before(s.StartTime) {
		f.Invalid(p, s.CompletionTime, "must be equal to or after `startTime`")
	}
	if (changed.failed || changed.failedIndexes) && isTrue(j, batchv1.JobFailed) && !isTrue(j, batchv1.JobFailureTarget) {
		conditions(f, "cannot set Failed=True condition without the FailureTarget=true condition")
	}
	if (changed.complete || changed.successCriteriaMet) && complete && !isTrue(j, batchv1.JobSuccessCriteriaMet) {
		conditions(f, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
	}
}

// jobEnd checks that a finished job has nothing left.
func jobEnd(f *validation.Findings, j *batchv1.Job, changed changes) {
	if !finished(j) {
		return
	}
	s := &j.Status
	if (changed.finished || changed.active) && s.Active > 0 {
		f.Invalid(status.Child("active"), s.Active, "active>0 is invalid for finished job")
	}
	nothingToDo := ptr.Equal(j.Spec.Suspend, ptr.To(true)) && ptr.Equal(j.Spec.Completions, ptr.To(int32(0)))
	if (changed.finished || changed.startTime) && !nothingToDo && s.StartTime == nil {
		f.Required(status.Child("startTime"), "startTime is required for finished job")
	}
	if u := s.UncountedTerminatedPods; (changed.finished || changed.uncounted) && u != nil && len(u.Failed)+len(u.Succeeded) > 0 {
		f.Invalid(status.Child("uncountedTerminatedPods"), u, "must be empty for finished job")
	}
}

func jobIndexes(f *validation.Findings, j *batchv1.Job, changed changes) {
	s, n := &j.Status, j.Spec.Completions
	done, failed := status.Child("completedIndexes"), status.Child("failedIndexes")
	if changed.completedIndexes && n != nil {
		if _, err := countIndexes(s.CompletedIndexes, *n); err != nil {
			f.Invalid(done, s.CompletedIndexes, "error parsing completedIndexes: "+err.Error())
		}
	}
	if changed.failedIndexes && n != nil && j.Spec.BackoffLimitPerIndex != nil && s.FailedIndexes != nil {
		if _, err := countIndexes(*s.FailedIndexes, *n); err != nil {
			f.Invalid(failed, *s.FailedIndexes, "error parsing failedIndexes: "+err.Error())
		}
	}
	if changed.completedIndexes && s.CompletedIndexes != "" && !indexed(&j.Spec) {
		f.Invalid(done, s.CompletedIndexes, "cannot set non-empty completedIndexes when non-indexed completion mode")
	}
	if changed.failedIndexes && j.Spec.BackoffLimitPerIndex == nil && s.FailedIndexes != nil {
		f.Invalid(failed, *s.FailedIndexes, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
	}
	if (changed.failedIndexes || changed.completedIndexes) && n != nil && s.FailedIndexes != nil {
		if at, both := overlap(s.CompletedIndexes, *s.FailedIndexes, *n); both {
			f.Invalid(failed, *s.FailedIndexes, fmt.Sprintf("failedIndexes and completedIndexes overlap at index: %d", at))
		}
	}
}

func jobPods(f *validation.Findings, j *batchv1.Job, changed changes) {
	s := &j.Status
	if (changed.finished || changed.terminating) && finished(j) && s.Terminating != nil && *s.Terminating > 0 {
		f.Invalid(status.Child("terminating"), *s.Terminating, "terminating>0 is invalid for finished job")
	}
	if (changed.ready || changed.active) && s.Ready != nil && *s.Ready > s.Active {
		f.Invalid(status.Child("ready"), *s.Ready, "cannot set more ready pods than active")
	}
}

func jobSuccess(f *validation.Findings, j *batchv1.Job) {
	met := isTrue(j, batchv1.JobSuccessCriteriaMet)
	if met && isTrue(j, batchv1.JobFailed) {
		conditions(f, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
	}
	if met && isTrue(j, batchv1.JobFailureTarget) {
		conditions(f, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
	}
	if j.Spec.SuccessPolicy != nil && !met && isTrue(j, batchv1.JobComplete) {
		conditions(f, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
	}
}

// jobTransition refuses to take back what a job has reached.
func jobTransition(f *validation.Findings, j, old *batchv1.Job, changed changes) {
	for _, t := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobComplete, batchv1.JobFailureTarget} {
		if isTrue(old, t) && !isTrue(j, t) {
			conditions(f, fmt.Sprintf("cannot disable the terminal %s=True condition", t))
		}
	}
	s, was := &j.Status, &old.Status
	if s.Failed < was.Failed {
		f.Invalid(status.Child("failed"), s.Failed, "cannot decrease the failed counter")
	}
	// An indexed job that shrinks loses pods that have succeeded.
	shrinks := indexed(&j.Spec) && ptr.Equal(j.Spec.Completions, j.Spec.Parallelism)
	if !shrinks && s.Succeeded < was.Succeeded {
		f.Invalid(status.Child("succeeded"), s.Succeeded, "cannot decrease the succeeded counter")
	}
	if s.CompletionTime != nil && was.CompletionTime != nil && changed.completionTime {
		f.Invalid(status.Child("completionTime"), s.CompletionTime, "field is immutable")
	}
	resumes := isTrue(old, batchv1.JobSuspended) && has(j, batchv1.JobSuspended, corev1.ConditionFalse)
	if changed.startTime && !resumes && was.StartTime != nil && !ptr.Deref(j.Spec.Suspend, false) {
		f.Invalid(status.Child("startTime"), s.StartTime, "field is immutable for unsuspended job once set")
	}
	met, wasMet := isTrue(j, batchv1.JobSuccessCriteriaMet), isTrue(old, batchv1.JobSuccessCriteriaMet)
	if wasMet && !met {
		conditions(f, "cannot disable the SuccessCriteriaMet=True condition")
	}
	if isTrue(old, batchv1.JobComplete) && !wasMet && met {
		conditions(f, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
	}
}
