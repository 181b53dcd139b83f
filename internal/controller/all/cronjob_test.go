package all_test

import (
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// A CronJob against the real API server: it makes jobs by its schedule, follows
// them, keeps as many as are asked for, and goes with all that is its own.
func TestCronJobs(t *testing.T) {
	y := openYard(t)
	crons := y.Client.BatchV1().CronJobs("default")
	make := func(name, schedule string, change func(*batchv1.CronJobSpec)) {
		t.Helper()
		c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.CronJobSpec{Schedule: schedule, TimeZone: ptr.To("Europe/Kyiv")}}
		c.Spec.JobTemplate.Spec.Template.Spec = corev1.PodSpec{
			NodeName: "n1", RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "done"}},
		}
		if change != nil {
			change(&c.Spec)
		}
		_, err := crons.Create(y.ctx, c, metav1.CreateOptions{})
		must(t, err)
	}
	jobs := func(of string) []batchv1.Job {
		list, err := y.Client.BatchV1().Jobs("default").List(y.ctx, metav1.ListOptions{})
		must(t, err)
		var all []batchv1.Job
		for _, j := range list.Items {
			if ref := metav1.GetControllerOf(&j); ref != nil && ref.Kind == "CronJob" && ref.Name == of {
				all = append(all, j)
			}
		}
		return all
	}
	cron := func(name string) *batchv1.CronJob {
		c, err := crons.Get(y.ctx, name, metav1.GetOptions{})
		must(t, err)
		return c
	}

	make("tick", "@every 1s", nil)
	make("never", "0 0 30 2 *", nil)
	make("kept", "@every 1s", func(s *batchv1.CronJobSpec) { s.SuccessfulJobsHistoryLimit = ptr.To(int32(0)) })
	make("stays", "@every 1s", func(s *batchv1.CronJobSpec) {
		s.JobTemplate.Spec.Template.Spec.Containers[0].Image = "runs"
		s.ConcurrencyPolicy = batchv1.ForbidConcurrent
	})
	y.until("a job to succeed", func() string {
		c := cron("tick")
		if c.Status.LastSuccessfulTime != nil && c.Status.LastScheduleTime != nil && len(c.Status.Active) == 0 {
			return ""
		}
		return fmt.Sprintf("%+v", c.Status)
	})
	if j := jobs("tick")[0]; !strings.HasPrefix(j.Name, "tick-29") && !strings.HasPrefix(j.Name, "tick-3") ||
		!strings.Contains(j.Annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"], "T") || len(j.OwnerReferences) != 1 {
		t.Errorf("%+v", j.ObjectMeta)
	}
	y.until("an active job", func() string {
		if c := cron("stays"); len(c.Status.Active) == 1 && c.Status.Active[0].Name == jobs("stays")[0].Name {
			return ""
		}
		return fmt.Sprintf("%+v", cron("stays").Status)
	})
	events := func(name, want string) {
		t.Helper()
		y.until("an event of "+name, func() string {
			list, err := y.Client.CoreV1().Events("default").List(y.ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=CronJob,involvedObject.name=" + name})
			must(t, err)
			said := ""
			for _, e := range list.Items {
				if line := fmt.Sprintf("%s %s %s: %s", e.Source.Component, e.Type, e.Reason, e.Message); strings.HasPrefix(line, want) {
					return ""
				} else {
					said += line + "\n"
				}
			}
			return want + " is not among\n" + said
		})
	}
	events("tick", "cronjob-controller Normal SuccessfulCreate: Created job tick-")
	events("tick", "cronjob-controller Normal SawCompletedJob: Saw completed job: tick-")
	events("kept", "cronjob-controller Normal SuccessfulDelete: Deleted job kept-")
	events("never", "cronjob-controller Warning InvalidSchedule: invalid schedule: 0 0 30 2 * : time difference between two schedules is less than 1 second")

	// An active job that somebody deletes is missed.
	must(t, y.Client.BatchV1().Jobs("default").Delete(y.ctx, jobs("stays")[0].Name, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}))
	events("stays", "cronjob-controller Normal MissingJob: Active job went missing: stays-")
	_, err := crons.Patch(y.ctx, "tick", types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{})
	must(t, err)
	must(t, crons.Delete(y.ctx, "tick", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}))
	y.until("the CronJob and its jobs to go", func() string {
		_, err := crons.Get(y.ctx, "tick", metav1.GetOptions{})
		if apierrors.IsNotFound(err) && len(jobs("tick")) == 0 {
			return ""
		}
		return fmt.Sprint(err, len(jobs("tick")))
	})
}
