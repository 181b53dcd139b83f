package batch

import (
	"context"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/warning"
)

func cronJobKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      batchv1.SchemeGroupVersion.WithKind("CronJob"),
		Resource:                 "cronjobs",
		Singular:                 "cronjob",
		ShortNames:               []string{"cj"},
		Categories:               []string{"all"},
		Namespaced:               true,
		HasStatus:                true,
		HasGeneration:            true,
		Columns:                  cronJobColumns(),
		New:                      func() runtime.Object { return &batchv1.CronJob{} },
		NewList:                  func() runtime.Object { return &batchv1.CronJobList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*batchv1.CronJob]{
		Default: defaultCronJob,
		PrepareCreate: func(_ context.Context, c *batchv1.CronJob) {
			c.Spec.JobTemplate.Spec.Scheduling = nil // for a feature gate that is off
		},
		Validate:             kind.Check(validateCronJob),
		ValidateUpdate:       kind.CheckUpdate(validateCronJobUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(func(_, _ *batchv1.CronJob) field.ErrorList { return nil }),
		Warnings:             cronJobWarnings,
		CopySpec:             func(c, old *batchv1.CronJob) { c.Spec = old.Spec },
		CopyStatus:           func(c, old *batchv1.CronJob) { c.Status = old.Status },
		Row:                  cronJobRow,
	})
}

func defaultCronJob(c *batchv1.CronJob) {
	s := &c.Spec
	if s.ConcurrencyPolicy == "" {
		s.ConcurrencyPolicy = batchv1.AllowConcurrent
	}
	if s.Suspend == nil {
		s.Suspend = new(false)
	}
	if s.SuccessfulJobsHistoryLimit == nil {
		s.SuccessfulJobsHistoryLimit = new(int32(3))
	}
	if s.FailedJobsHistoryLimit == nil {
		s.FailedJobsHistoryLimit = new(int32(1))
	}
	defaultJobParts(&s.JobTemplate.Spec)
}

func cronJobWarnings(_ context.Context, c, old *batchv1.CronJob) []string {
	p := spec.Child("jobTemplate", "spec")
	if old == nil {
		return append(warning.NameForPods(c.Name), jobSpecWarnings(p, &c.Spec.JobTemplate.Spec)...)
	}
	var w []string
	if c.Generation != old.Generation {
		w = jobSpecWarnings(p, &c.Spec.JobTemplate.Spec)
	}
	if strings.Contains(c.Spec.Schedule, "TZ") {
		w = append(w, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, "+
			"see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
	}
	return w
}

func cronJobColumns() columns.Definitions {
	doc := batchv1.CronJobSpec{}.SwaggerDoc()
	return append(columns.Definitions{
		columns.Name(),
		columns.Column("Schedule", "string", doc["schedule"]),
		columns.Column("Timezone", "string", doc["timeZone"]),
		columns.Column("Suspend", "boolean", doc["suspend"]),
		columns.Column("Active", "integer", batchv1.CronJobStatus{}.SwaggerDoc()["active"]),
		columns.Column("Last Schedule", "string", batchv1.CronJobStatus{}.SwaggerDoc()["lastScheduleTime"]),
		columns.Age(),
	}, append(columns.ContainersWide(), columns.Wide("Selector", batchv1.JobSpec{}.SwaggerDoc()["selector"]))...)
}

func cronJobRow(c *batchv1.CronJob) []any {
	last, suspended := columns.None, columns.Unset
	if t := c.Status.LastScheduleTime; t != nil {
		last = columns.Since(*t)
	}
	if s := c.Spec.Suspend; s != nil {
		suspended = "False"
		if *s {
			suspended = "True"
		}
	}
	job := &c.Spec.JobTemplate.Spec
	names, images := columns.Containers(job.Template.Spec.Containers)
	return []any{
		c.Name, c.Spec.Schedule, columns.Text(c.Spec.TimeZone, columns.None), suspended, int64(len(c.Status.Active)),
		last, columns.Since(c.CreationTimestamp), names, images, metav1.FormatLabelSelector(job.Selector),
	}
}
