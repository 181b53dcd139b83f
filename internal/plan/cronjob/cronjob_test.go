package cronjob

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// at is a time of day of one Saturday, "12:30:05".
func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-11-21 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// world is a CronJob made at ten, looked at a second after noon.
func world(schedule string) Facts {
	read, err := cron.ParseStandard(schedule)
	if err != nil {
		panic(err)
	}
	c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "tick", UID: "tick", CreationTimestamp: metav1.NewTime(at("10:00:00"))}}
	c.Spec.Schedule, c.Spec.ConcurrencyPolicy = schedule, batchv1.AllowConcurrent
	return Facts{CronJob: c, Schedule: read, Now: at("12:00:01"), Gone: map[types.UID]bool{}}
}

func (f Facts) job(name string, end batchv1.JobConditionType, start string) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name)}}
	j.Status.StartTime = &metav1.Time{Time: at(start)}
	if end != "" {
		j.Status.Conditions = []batchv1.JobCondition{{Type: end, Status: corev1.ConditionTrue}}
	}
	if end == batchv1.JobComplete {
		j.Status.CompletionTime = &metav1.Time{Time: at(start).Add(time.Minute)}
	}
	return j
}

func active(names ...string) (refs []corev1.ObjectReference) {
	for _, name := range names {
		refs = append(refs, corev1.ObjectReference{Namespace: "ns", Name: name, UID: types.UID(name)})
	}
	return refs
}

func say(p Plan) string {
	var words []string
	for _, j := range p.Delete {
		words = append(words, "delete "+j.Name)
	}
	for _, uid := range p.Replace {
		words = append(words, "replace "+string(uid))
	}
	if p.Start != nil {
		words = append(words, "start "+p.Start.Format(time.TimeOnly))
	}
	for _, r := range p.Status.Active {
		words = append(words, "active "+r.Name)
	}
	if t := p.Status.LastSuccessfulTime; t != nil {
		words = append(words, "succeeded "+t.Format(time.TimeOnly))
	}
	for _, e := range p.Events {
		words = append(words, fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Message))
	}
	if p.Again > 0 {
		words = append(words, "again in "+p.Again.String())
	}
	return strings.Join(words, "; ")
}

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		schedule string
		change   func(*Facts)
		want     string
	}{
		"due":                {"0 * * * *", nil, "start 12:00:00; again in 59m59.1s"},
		"not due":            {"30 14 * * *", nil, "again in 2h29m59.1s"},
		"done":               {"0 * * * *", func(f *Facts) { f.CronJob.Status.LastScheduleTime = &metav1.Time{Time: at("12:00:00")} }, "again in 59m59.1s"},
		"the last of missed": {"*/10 * * * *", func(f *Facts) { f.CronJob.Status.LastScheduleTime = &metav1.Time{Time: at("11:00:00")} }, "start 12:00:00; again in 9m59.1s"},
		"an odd schedule":    {"30 6-16/4 * * 1-6", nil, "start 10:30:00; again in 2h29m59.1s"},
		"every":              {"@every 7m", nil, "start 11:59:00; again in 5m59.1s"},
		"too many missed":    {"* * * * *", nil, "start 12:00:00; Warning TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew; again in 59.1s"},
		"within the deadline": {"* * * * *", func(f *Facts) {
			f.CronJob.Spec.StartingDeadlineSeconds = ptr.To(int64(200))
		}, "start 12:00:00; again in 59.1s"},
		"past the deadline": {"0 11 * * *", func(f *Facts) { f.CronJob.Spec.StartingDeadlineSeconds = ptr.To(int64(600)) }, "again in 22h59m59.1s"},
		"never":             {"59 23 31 2 *", nil, "Warning InvalidSchedule: invalid schedule: 59 23 31 2 * : time difference between two schedules is less than 1 second"},
		"suspended":         {"0 * * * *", func(f *Facts) { f.CronJob.Spec.Suspend = ptr.To(true) }, ""},
		"no schedule": {
			"0 * * * *", func(f *Facts) { f.Schedule, f.Problem = nil, []Event{{"Warning", "UnknownTimeZone", "no"}} },
			"Warning UnknownTimeZone: no",
		},
		"being deleted":    {"0 * * * *", func(f *Facts) { f.CronJob.DeletionTimestamp = &metav1.Time{} }, ""},
		"schedule changed": {"0 * * * *", func(f *Facts) { f.Since = at("12:00:00") }, "again in 59m59.1s"},
		"one runs, and may": {"0 * * * *", func(f *Facts) {
			f.CronJob.Status.Active = active("a")
		}, "start 12:00:00; active a; again in 59m59.1s"},
		"one runs, and none may beside it": {"0 * * * *", func(f *Facts) {
			f.CronJob.Spec.ConcurrencyPolicy, f.CronJob.Status.Active = batchv1.ForbidConcurrent, active("a")
		}, "active a; Normal JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid; again in 59m59.1s"},
		"one gives way": {"0 * * * *", func(f *Facts) {
			f.CronJob.Spec.ConcurrencyPolicy, f.CronJob.Status.Active = batchv1.ReplaceConcurrent, active("a")
		}, "replace a; start 12:00:00; again in 59m59.1s"},
		"this one runs": {"0 * * * *", func(f *Facts) {
			f.CronJob.Status.Active = active(JobName(f.CronJob, at("12:00:00")))
		}, "active tick-29921040; again in 59m59.1s"},
		"ended": {"30 14 * * *", func(f *Facts) {
			f.CronJob.Status.Active = active("a", "b", "c")
			f.Jobs = []*batchv1.Job{f.job("a", batchv1.JobComplete, "10:30:00"), f.job("b", batchv1.JobFailed, "10:40:00"), f.job("z", batchv1.JobComplete, "10:20:00")}
			f.Gone["c"] = true
		}, "succeeded 10:31:00; Normal SawCompletedJob: Saw completed job: a, condition: Complete; " +
			"Normal SawCompletedJob: Saw completed job: b, condition: Failed; Normal MissingJob: Active job went missing: c; again in 2h29m59.1s"},
		"enough history": {"30 14 * * *", func(f *Facts) {
			f.CronJob.Spec.SuccessfulJobsHistoryLimit, f.CronJob.Spec.FailedJobsHistoryLimit = ptr.To(int32(1)), ptr.To(int32(0))
			f.Jobs = []*batchv1.Job{
				f.job("b", batchv1.JobComplete, "10:30:00"), f.job("a", batchv1.JobComplete, "10:40:00"),
				f.job("c", batchv1.JobFailed, "10:20:00"), f.job("d", "", "10:20:00"),
			}
		}, "delete c; delete b; succeeded 10:41:00; again in 2h29m59.1s"},
	} {
		f := world(c.schedule)
		if c.change != nil {
			c.change(&f)
		}
		if diff := cmp.Diff(c.want, say(Decide(f))); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	f := world("30 14 * * *")
	f.CronJob.Status.Active, f.Jobs = active("a"), []*batchv1.Job{f.job("a", "", "10:30:00"), f.job("b", "", "10:30:00"), f.job("c", batchv1.JobFailed, "10:30:00")}
	if all := Unexpected(f); len(all) != 1 || all[0].Name != "b" {
		t.Errorf("unexpected: %v", all)
	}
}

func TestNewJob(t *testing.T) {
	f := world("0 * * * *")
	f.CronJob.Spec.JobTemplate.Labels = map[string]string{"a": "b"}
	f.CronJob.Spec.JobTemplate.Spec.Parallelism = ptr.To(int32(3))
	kyiv, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Fatal(err)
	}
	j := NewJob(f.CronJob, at("12:00:00"), kyiv)
	if j.Name != "tick-29921040" || j.Annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] != "2026-11-21T14:00:00+02:00" ||
		j.Labels["a"] != "b" || *j.Spec.Parallelism != 3 || !metav1.IsControlledBy(j, f.CronJob) {
		t.Errorf("%+v", j)
	}
	status := Started(f.CronJob.Status, j, at("12:00:00"))
	if r := status.Active[0]; r.Name != j.Name || r.Kind != "Job" || r.APIVersion != "batch/v1" || !status.LastScheduleTime.Equal(&metav1.Time{Time: at("12:00:00")}) {
		t.Errorf("%+v", status)
	}
}

// The clock goes on by any steps: each time of the schedule is started at most
// once, none before its time, and after a look that comes when it was asked for,
// none is left out.
func TestEachTimeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := world(rapid.SampledFrom([]string{"* * * * *", "*/7 * * * *", "13,37 * * * *", "@every 11m", "0 */2 * * *"}).Draw(t, "schedule"))
		f.CronJob.Status.LastScheduleTime = &metav1.Time{Time: f.Now}
		punctual := rapid.Bool().Draw(t, "punctual")
		var started []time.Time
		for range 40 {
			p := Decide(f)
			if p.Start != nil {
				if p.Start.After(f.Now) || slices.ContainsFunc(started, func(s time.Time) bool { return !s.Before(*p.Start) }) {
					t.Fatalf("%s is started at %s, after %v", p.Start, f.Now, started)
				}
				if want := f.Schedule.Next(f.CronJob.Status.LastScheduleTime.Time); punctual && !p.Start.Equal(want) {
					t.Fatalf("%s is started, %s was left out", p.Start, want)
				}
				started = append(started, *p.Start)
				f.CronJob.Status = Started(p.Status, NewJob(f.CronJob, *p.Start, time.UTC), *p.Start)
				f.CronJob.Status.Active = nil
				p = Decide(f)
			}
			if p.Again <= 0 {
				t.Fatalf("never looked at again: %s", say(p))
			}
			step := p.Again
			if !punctual {
				step = time.Duration(rapid.IntRange(1, 5000).Draw(t, "step")) * time.Second
			}
			f.Now = f.Now.Add(step)
		}
		if punctual && len(started) < 35 {
			t.Fatalf("only %d were started", len(started))
		}
	})
}
