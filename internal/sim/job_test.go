package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/job"
	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/job"
	"berth.dev/berth/internal/sim"
)

// work is a job of so many pods, each of which mostly does its work.
func work(mode batchv1.CompletionMode, completions, parallelism int32) *batchv1.Job {
	labels := map[string]string{"app": "work"}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "work"},
		Spec: batchv1.JobSpec{
			Completions: &completions, Parallelism: &parallelism, CompletionMode: &mode, BackoffLimit: ptr.To(int32(100)),
			Suspend: ptr.To(false), PodReplacementPolicy: ptr.To(batchv1.TerminatingOrFailed),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "flaky"}}},
			},
		},
	}
}

// ends is what really became of a job's pods.
type ends struct {
	succeeded map[types.UID]string // to the index
	late      map[types.UID]bool   // the same, but told to stop before
	seen      map[types.UID]bool
}

func newEnds() *ends {
	return &ends{map[types.UID]string{}, map[types.UID]bool{}, map[types.UID]bool{}}
}

// failed are those that did not succeed.
func (e *ends) failed() int { return len(e.seen) - len(e.succeeded) - len(e.late) }

// counted compares with what the job says. A pod that was told to stop counts as
// failed already, or as what it comes to, but never as both; for an index that
// its successor has done too, it need not count.
func (e *ends) counted(j *batchv1.Job) error {
	succeeded, failed := int(j.Status.Succeeded), int(j.Status.Failed)
	all := succeeded + failed
	if succeeded < int(*j.Spec.Completions) || succeeded < len(e.succeeded) || failed < e.failed() || all > len(e.seen) ||
		all < len(e.seen) && (*j.Spec.CompletionMode == batchv1.NonIndexedCompletion || len(e.late) == 0) {
		return fmt.Errorf("%d succeeded, %d late, and %d failed; the job says %d and %d", len(e.succeeded), len(e.late), e.failed(), succeeded, failed)
	}
	return nil
}

// watchEnds looks at every pod after each step: no index is done twice, and
// never do more pods run than may.
func watchEnds(e *ends) func(*sim.Sim) error {
	return func(s *sim.Sim) error {
		pods, j := &corev1.PodList{}, &batchv1.Job{}
		if err := s.API().List(context.Background(), pods); err != nil {
			return err
		}
		active := 0
		for i := range pods.Items {
			pod := &pods.Items[i]
			e.seen[pod.UID] = true
			switch {
			case pod.Status.Phase == corev1.PodSucceeded && pod.DeletionTimestamp != nil && *pod.DeletionGracePeriodSeconds > 0:
				e.late[pod.UID] = true
			case pod.Status.Phase == corev1.PodSucceeded:
				e.succeeded[pod.UID] = pod.Annotations[batchv1.JobCompletionIndexAnnotation]
			case pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil:
				active++
			}
		}
		if s.API().Get(context.Background(), key("work"), j) == nil && active > int(*j.Spec.Parallelism) {
			return fmt.Errorf("%d pods are active, %d may be", active, *j.Spec.Parallelism)
		}
		by := map[string]types.UID{}
		for uid, index := range e.succeeded {
			if other, twice := by[index]; twice && index != "" {
				return fmt.Errorf("index %s was done twice, by %s and %s", index, min(uid, other), max(uid, other))
			}
			by[index] = uid
		}
		return nil
	}
}

// Whatever goes wrong, each end of a pod is counted once.
func TestJobCountsEveryEndOnce(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 21))
		e := newEnds()
		s := sim.New(sim.Config{
			Seed: seed, Loops: []loop.Loop{job.Loop(), job.OrphanLoop()}, Faults: sim.AllFaults,
			Check: []func(*sim.Sim) error{watchEnds(e)},
		})
		mode := []batchv1.CompletionMode{batchv1.NonIndexedCompletion, batchv1.IndexedCompletion}[seed%2]
		j := work(mode, int32(1+r.IntN(7)), int32(1+r.IntN(4)))
		if r.IntN(3) == 0 {
			j.Spec.PodReplacementPolicy = ptr.To(batchv1.Failed)
		}
		if mode == batchv1.IndexedCompletion && r.IntN(2) == 0 {
			j.Spec.BackoffLimitPerIndex = ptr.To(int32(50))
		}
		s.Create(j)
		for range 20 {
			if err := s.Run(20); err != nil {
				t.Fatal(err)
			}
			deleteOne(t, s, r)
		}
		settled(t, s)
		if err := s.API().Get(t.Context(), key("work"), j); err != nil {
			t.Fatal(err)
		}
		end := plan.Finished(j)
		if end == nil || end.Type != batchv1.JobComplete || end.Reason != batchv1.JobReasonCompletionsReached {
			t.Fatalf("seed %d: the job ends as %+v\n%s", seed, j.Status, tail(s))
		}
		if err := e.counted(j); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, tail(s))
		}
		if mode == batchv1.IndexedCompletion && plan.ParseIndexes(j.Status.CompletedIndexes, 100).Total() != int(*j.Spec.Completions) {
			t.Fatalf("seed %d: completed indexes %s", seed, j.Status.CompletedIndexes)
		}
		if j.Status.Active != 0 || *j.Status.Ready != 0 || *j.Status.Terminating != 0 || j.Status.CompletionTime == nil {
			t.Fatalf("seed %d: %+v", seed, j.Status)
		}
		jobAtRest(t, s)
	}
}

// deleteOne is a user who deletes a pod now and then.
func deleteOne(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) == 0 || r.IntN(2) == 0 {
		return
	}
	if err := s.API().Delete(t.Context(), pods.Items[r.IntN(len(pods.Items))].DeepCopy()); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

// jobAtRest asks that nothing is written any more, and no pod is held.
func jobAtRest(t *testing.T, s *sim.Sim) {
	t.Helper()
	before := s.Writes()
	s.Wake()
	settled(t, s)
	if n := s.Writes() - before; n != 0 {
		t.Fatalf("%d writes at rest\n%s", n, tail(s))
	}
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if plan.Tracked(&pods.Items[i]) {
			t.Errorf("pod %s is still held", pods.Items[i].Name)
		}
	}
}

// A user who suspends, resumes, widens and narrows a job on a bad day, or
// deletes it, never has an index done twice, and the job ends.
func TestJobChangedAtAnyMoment(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 22))
		e := newEnds()
		watch := watchEnds(e)
		s := sim.New(sim.Config{
			Seed: seed, Loops: []loop.Loop{job.Loop(), job.OrphanLoop()}, Faults: sim.AllFaults,
			Check: []func(*sim.Sim) error{func(s *sim.Sim) error {
				if err := watch(s); err != nil && len(err.Error()) > 5 && err.Error()[:5] == "index" {
					return err // fewer may run now than did before
				}
				return nil
			}},
		})
		s.Create(work(batchv1.IndexedCompletion, 6, 3))
		change := func(f func(*batchv1.Job)) {
			j := &batchv1.Job{}
			if err := s.API().Get(t.Context(), key("work"), j); err != nil {
				return
			}
			j = j.DeepCopy()
			f(j)
			if err := s.API().Update(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		}
		for range 1 + r.IntN(6) {
			if err := s.Run(r.IntN(60)); err != nil {
				t.Fatal(err)
			}
			switch r.IntN(5) {
			case 0, 1:
				change(func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(!*j.Spec.Suspend) })
			case 2, 3:
				change(func(j *batchv1.Job) { j.Spec.Parallelism = ptr.To(int32(r.IntN(5))) })
			case 4:
				if r.IntN(4) == 0 {
					policy := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan}[r.IntN(3)]
					_ = s.API().Delete(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "work"}}, client.PropagationPolicy(policy))
				}
			}
		}
		change(func(j *batchv1.Job) { j.Spec.Suspend, j.Spec.Parallelism = ptr.To(false), ptr.To(int32(2)) })
		settled(t, s)
		j := &batchv1.Job{}
		if err := s.API().Get(t.Context(), key("work"), j); err == nil {
			if c := plan.Finished(j); c == nil || c.Type != batchv1.JobComplete || j.Status.CompletedIndexes != "0-5" {
				t.Fatalf("seed %d: %+v\n%s", seed, j.Status, tail(s))
			}
		}
		jobAtRest(t, s)
	}
}

// A job that fails too often stops what runs, counts it and says so.
func TestJobFails(t *testing.T) {
	for seed := range uint64(60) {
		e := newEnds()
		s := sim.New(sim.Config{
			Seed: seed, Loops: []loop.Loop{job.Loop(), job.OrphanLoop(), job.TTLLoop()}, Faults: sim.AllFaults,
			Check: []func(*sim.Sim) error{watchEnds(e)},
		})
		j := work(batchv1.NonIndexedCompletion, 9, 3)
		j.Spec.BackoffLimit = ptr.To(int32(seed % 4))
		j.Spec.Template.Spec.Containers[0].Image = []string{"fails", "unready"}[seed%2]
		j.Spec.ActiveDeadlineSeconds = ptr.To(int64(300))
		j.Spec.TTLSecondsAfterFinished = ptr.To(int32(100 * (seed % 3 / 2)))
		if seed%3 == 0 {
			j.Spec.TTLSecondsAfterFinished = nil
		}
		s.Create(j)
		if err := s.Run(400); err != nil {
			t.Fatal(err)
		}
		settled(t, s)
		err := s.API().Get(t.Context(), key("work"), j)
		if (err == nil) != (seed%3 == 0) {
			t.Fatalf("seed %d: %v of a job with a time to live: %v\n%s", seed, err, j.Spec.TTLSecondsAfterFinished, tail(s))
		}
		if err != nil {
			continue
		}
		end := plan.Finished(j)
		if end == nil || end.Type != batchv1.JobFailed || int(j.Status.Failed) != e.failed() || j.Status.Succeeded != 0 || j.Status.CompletionTime != nil {
			t.Fatalf("seed %d: %d failed, the job ends as %+v\n%s", seed, e.failed(), j.Status, tail(s))
		}
		jobAtRest(t, s)
	}
}
