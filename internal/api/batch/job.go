package batch

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/warning"
)

var (
	spec   = field.NewPath("spec")
	status = field.NewPath("status")
)

func jobKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:               batchv1.SchemeGroupVersion.WithKind("Job"),
		Resource:          "jobs",
		Singular:          "job",
		Categories:        []string{"all"},
		Namespaced:        true,
		HasStatus:         true,
		HasGeneration:     true,
		OrphansDependents: true,
		OrphanWarning: "child pods are preserved by default when jobs are deleted; " +
			"set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
		FieldNames: []string{"status.successful"},
		Columns: append(columns.Definitions{
			columns.Name(),
			columns.Column("Status", "string", "Status of the job."),
			columns.Column("Completions", "string", batchv1.JobStatus{}.SwaggerDoc()["succeeded"]),
			columns.Column("Duration", "string", "Time required to complete the job."),
			columns.Age(),
		}, append(columns.ContainersWide(), columns.Wide("Selector", batchv1.JobSpec{}.SwaggerDoc()["selector"]))...),
		New:                      func() runtime.Object { return &batchv1.Job{} },
		NewList:                  func() runtime.Object { return &batchv1.JobList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*batchv1.Job]{
		Default:              defaultJob,
		PrepareCreate:        prepareJob,
		PrepareUpdate:        func(_ context.Context, j, _ *batchv1.Job) { j.Spec.Scheduling = nil },
		Validate:             kind.Check(validateJob),
		ValidateUpdate:       kind.CheckUpdate(validateJobUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateJobStatus),
		Warnings:             jobWarnings,
		CopySpec:             func(j, old *batchv1.Job) { j.Spec = old.Spec },
		CopyStatus:           func(j, old *batchv1.Job) { j.Status = old.Status },
		Fields: func(j *batchv1.Job) fields.Set {
			return fields.Set{"status.successful": strconv.Itoa(int(j.Status.Succeeded))}
		},
		Row: jobRow,
	})
}

func defaultJob(j *batchv1.Job) {
	s := &j.Spec
	if s.Completions == nil && s.Parallelism == nil {
		s.Completions = new(int32(1))
	}
	if s.Parallelism == nil {
		s.Parallelism = new(int32(1))
	}
	if s.BackoffLimit == nil {
		s.BackoffLimit = new(int32(6))
		if s.BackoffLimitPerIndex != nil {
			s.BackoffLimit = new(int32(math.MaxInt32))
		}
	}
	if len(j.Labels) == 0 && s.Template.Labels != nil {
		j.Labels = maps.Clone(s.Template.Labels)
	}
	if s.CompletionMode == nil {
		s.CompletionMode = new(batchv1.NonIndexedCompletion)
	}
	if s.Suspend == nil {
		s.Suspend = new(false)
	}
	if s.PodReplacementPolicy == nil {
		s.PodReplacementPolicy = new(batchv1.TerminatingOrFailed)
		if s.PodFailurePolicy != nil {
			s.PodReplacementPolicy = new(batchv1.Failed)
		}
	}
	if s.ManualSelector == nil {
		s.ManualSelector = new(false)
	}
	defaultJobParts(s)
}

// defaultJobParts fills what jobs and the templates of jobs have in common.
func defaultJobParts(s *batchv1.JobSpec) {
	if s.PodFailurePolicy != nil {
		for i := range s.PodFailurePolicy.Rules {
			for k := range s.PodFailurePolicy.Rules[i].OnPodConditions {
				if p := &s.PodFailurePolicy.Rules[i].OnPodConditions[k]; p.Status == "" {
					p.Status = corev1.ConditionTrue
				}
			}
		}
	}
	defaults.PodTemplateSpec(&s.Template)
}

// The labels that pods of a job have, in their old and their new form.
const (
	oldJobName       = "job-name"
	oldControllerUID = "controller-uid"
)

// prepareJob makes the selector that no other job has, unless the user wants
// to choose. Labels that are there already stay; validation looks at them.
func prepareJob(_ context.Context, j *batchv1.Job) {
	s := &j.Spec
	s.Scheduling = nil // for a feature gate that is off
	if manual(s) {
		return
	}
	if s.Template.Labels == nil {
		s.Template.Labels = map[string]string{}
	}
	for label, value := range map[string]string{
		oldJobName:                 j.Name,
		batchv1.JobNameLabel:       j.Name,
		oldControllerUID:           string(j.UID),
		batchv1.ControllerUidLabel: string(j.UID),
	} {
		if _, ok := s.Template.Labels[label]; !ok {
			s.Template.Labels[label] = value
		}
	}
	if s.Selector == nil {
		s.Selector = &metav1.LabelSelector{}
	}
	if s.Selector.MatchLabels == nil {
		s.Selector.MatchLabels = map[string]string{}
	}
	if _, ok := s.Selector.MatchLabels[batchv1.ControllerUidLabel]; !ok {
		s.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(j.UID)
	}
}

func manual(s *batchv1.JobSpec) bool { return s.ManualSelector != nil && *s.ManualSelector }

func indexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
}

func jobWarnings(_ context.Context, j, old *batchv1.Job) []string {
	switch {
	case old == nil:
		return append(warning.NameForPods(j.Name), jobSpecWarnings(spec, &j.Spec)...)
	case j.Generation != old.Generation:
		return jobSpecWarnings(spec, &j.Spec)
	}
	return nil
}

func jobSpecWarnings(p *field.Path, s *batchv1.JobSpec) []string {
	var w []string
	if indexed(s) && s.Completions != nil && *s.Completions > manyCompletions &&
		s.Parallelism != nil && *s.Parallelism > parallelismOfMany {
		w = append(w, p.String()+": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism "+
			"higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
	}
	return append(w, warning.PodTemplate(p.Child("template"), &s.Template)...)
}

func jobRow(j *batchv1.Job) []any {
	s := &j.Status
	completions := fmt.Sprintf("%d/1", s.Succeeded)
	switch p := j.Spec.Parallelism; {
	case j.Spec.Completions != nil:
		completions = fmt.Sprintf("%d/%d", s.Succeeded, *j.Spec.Completions)
	case p != nil && *p > 1:
		completions = fmt.Sprintf("%d/1 of %d", s.Succeeded, *p)
	}
	took := ""
	switch {
	case s.StartTime == nil:
	case s.CompletionTime == nil:
		took = duration.HumanDuration(time.Since(s.StartTime.Time))
	default:
		took = duration.HumanDuration(s.CompletionTime.Sub(s.StartTime.Time))
	}
	names, images := columns.Containers(j.Spec.Template.Spec.Containers)
	return []any{
		j.Name, jobState(j), completions, took, columns.Since(j.CreationTimestamp),
		names, images, metav1.FormatLabelSelector(j.Spec.Selector),
	}
}

func jobState(j *batchv1.Job) string {
	for _, t := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if isTrue(j, t) {
			return string(t)
		}
	}
	if j.DeletionTimestamp != nil {
		return "Terminating"
	}
	for _, t := range []batchv1.JobConditionType{batchv1.JobSuspended, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if isTrue(j, t) {
			return string(t)
		}
	}
	return "Running"
}

func isTrue(j *batchv1.Job, t batchv1.JobConditionType) bool {
	return has(j, t, corev1.ConditionTrue)
}

func has(j *batchv1.Job, t batchv1.JobConditionType, status corev1.ConditionStatus) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == t && c.Status == status {
			return true
		}
	}
	return false
}
