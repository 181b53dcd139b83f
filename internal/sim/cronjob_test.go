package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/cronjob"
	"berth.dev/berth/internal/controller/job"
	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/job"
	"berth.dev/berth/internal/sim"
)

// A CronJob on a bad day: no minute has two jobs, with Forbid never two at once
// run, and of those that have ended only so many are kept.
func TestCronJob(t *testing.T) {
	made := 0
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 31))
		policy := []batchv1.ConcurrencyPolicy{batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent}[seed%3]
		seen := map[string]types.UID{}
		s := sim.New(sim.Config{
			Seed: seed, Loops: []loop.Loop{cronjob.Loop(), job.Loop(), job.OrphanLoop()}, Faults: sim.AllFaults,
			Check: []func(*sim.Sim) error{func(s *sim.Sim) error {
				jobs := &batchv1.JobList{}
				if err := s.API().List(context.Background(), jobs); err != nil {
					return err
				}
				running := 0
				for i := range jobs.Items {
					j := &jobs.Items[i]
					if uid, known := seen[j.Name]; known && uid != j.UID {
						return fmt.Errorf("job %s was made twice", j.Name)
					}
					seen[j.Name] = j.UID
					if plan.Finished(j) == nil && j.DeletionTimestamp == nil {
						running++
					}
				}
				if policy != batchv1.AllowConcurrent && running > 1 {
					return fmt.Errorf("%d jobs run at once", running)
				}
				return nil
			}},
		})
		c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "tick"}}
		c.Spec = batchv1.CronJobSpec{
			Schedule: "* * * * *", ConcurrencyPolicy: policy, SuccessfulJobsHistoryLimit: ptr.To(int32(2)), FailedJobsHistoryLimit: ptr.To(int32(1)),
			JobTemplate: batchv1.JobTemplateSpec{Spec: work(batchv1.NonIndexedCompletion, 1, 1).Spec},
		}
		c.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image = []string{"done", "flaky", "fails", "unready"}[r.IntN(4)]
		c.Spec.JobTemplate.Spec.BackoffLimit = ptr.To(int32(r.IntN(2)))
		c.Spec.JobTemplate.Spec.ActiveDeadlineSeconds = ptr.To(int64(90))
		s.Create(c)
		for begun := s.Now(); s.Now().Sub(begun) < 8*time.Minute; {
			if err := s.Run(1); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.API().Get(t.Context(), key("tick"), c); err != nil {
			t.Fatal(err)
		}
		c = c.DeepCopy()
		c.Spec.Suspend = ptr.To(true)
		if err := s.API().Update(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		settled(t, s)
		if err := s.API().Get(t.Context(), key("tick"), c); err != nil {
			t.Fatal(err)
		}
		jobs := &batchv1.JobList{}
		if err := s.API().List(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
		ended := map[batchv1.JobConditionType]int{}
		for i := range jobs.Items {
			if end := plan.Finished(&jobs.Items[i]); end != nil {
				ended[end.Type]++
			} else {
				t.Errorf("seed %d: job %s does not end: %+v", seed, jobs.Items[i].Name, jobs.Items[i].Status)
			}
		}
		if len(c.Status.Active) > 0 || ended[batchv1.JobComplete] > 2 || ended[batchv1.JobFailed] > 1 || c.Status.LastScheduleTime == nil {
			t.Errorf("seed %d: %v ended, status %+v\n%s", seed, ended, c.Status, tail(s))
		}
		made += len(seen)
		jobAtRest(t, s)
	}
	if made < 80*4 {
		t.Errorf("only %d jobs were made", made)
	}
}
