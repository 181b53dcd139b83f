package batch

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // a zone is known even where the machine has no database of them

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api/validation"
)

// longestCronJob leaves room in the name of a job for "-" and the time.
const longestCronJob = utilvalidation.DNS1035LabelMaxLength - 11

func validateCronJob(c *batchv1.CronJob) field.ErrorList {
	var f validation.Findings
	f.Meta(&c.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	cronJobSpec(&f, &c.Spec, nil)
	if len(c.Name) > longestCronJob {
		f.Invalid(field.NewPath("metadata", "name"), c.Name, fmt.Sprintf("must be no more than %d characters", longestCronJob))
	}
	return f.List()
}

// validateCronJobUpdate lets long names of old be.
func validateCronJobUpdate(c, old *batchv1.CronJob) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	cronJobSpec(&f, &c.Spec, &old.Spec)
	return f.List()
}

func cronJobSpec(f *validation.Findings, s, old *batchv1.CronJobSpec) {
	if f.NotEmpty(spec.Child("schedule"), s.Schedule) {
		schedule(f, s, old != nil && strings.Contains(old.Schedule, "TZ"))
	}
	if n := s.StartingDeadlineSeconds; n != nil {
		f.NotNegative(spec.Child("startingDeadlineSeconds"), *n)
	}
	if s.TimeZone != nil && (old == nil || !ptr.Equal(s.TimeZone, old.TimeZone)) {
		timeZone(f, spec.Child("timeZone"), *s.TimeZone)
	}
	validation.SetAndAmong(f, spec.Child("concurrencyPolicy"), s.ConcurrencyPolicy,
		batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)
	job, p := &s.JobTemplate.Spec, spec.Child("jobTemplate", "spec")
	jobParts(f, p, job)
	if job.Selector != nil {
		f.Invalid(p.Child("selector"), job.Selector, "`selector` will be auto-generated")
	}
	if manual(job) {
		f.Add(field.NotSupported(p.Child("manualSelector"), *job.ManualSelector, []string{"nil", "false"}))
	}
	f.OptionalCount(spec.Child("successfulJobsHistoryLimit"), s.SuccessfulJobsHistoryLimit)
	f.OptionalCount(spec.Child("failedJobsHistoryLimit"), s.FailedJobsHistoryLimit)
}

// schedule refuses a zone in the schedule, unless there always was one.
func schedule(f *validation.Findings, s *batchv1.CronJobSpec, zoned bool) {
	p := spec.Child("schedule")
	if err := readSchedule(s.Schedule); err != nil {
		f.Invalid(p, s.Schedule, err.Error())
	}
	switch within := strings.Contains(s.Schedule, "TZ"); {
	case within && zoned && s.TimeZone != nil:
		f.Invalid(p, s.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")
	case within && !zoned:
		f.Invalid(p, s.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
	}
}

// readSchedule parses with a library that panics on some of what is no schedule, such as "TZ=0".
func readSchedule(text string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("invalid schedule format: %v", r)
		}
	}()
	_, err = cron.ParseStandard(text)
	return err
}

// zonePart is a part of a name in the database of time zones. Parts that are
// none must never become a path.
var zonePart = regexp.MustCompile(`^[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}$`)

func timeZone(f *validation.Findings, p *field.Path, name string) {
	if name == "" {
		f.Invalid(p, name, "timeZone must be nil or non-empty string")
		return
	}
	for _, part := range strings.Split(name, "/") {
		if part == "." || part == ".." || !zonePart.MatchString(part) {
			f.Invalid(p, name, "unknown time zone "+name)
			return
		}
	}
	if strings.EqualFold(name, "Local") {
		f.Invalid(p, name, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
	}
	if _, err := time.LoadLocation(name); err != nil {
		f.Invalid(p, name, err.Error())
	}
}
