package all_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/all/alltest"
)

// yard is a cluster whose machines do what the image of a pod says: "done" and
// "fails" end, others run. Pods need no scheduler.
type yard struct {
	*alltest.Cluster
	t   *testing.T
	ctx context.Context
}

func openYard(t *testing.T) *yard {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the API server")
	}
	y := &yard{alltest.Start(t, alltest.Options{Without: []string{"node-lifecycle", "pod-garbage-collector"}}), t, t.Context()}
	alltest.Run(t, func(ctx context.Context) error {
		return alltest.Kubelet(ctx, y.Client, func(_ context.Context, pod *corev1.Pod) (bool, error) {
			if pod.Status.Phase != corev1.PodPending {
				return false, nil
			}
			now := metav1.Now()
			exit := &corev1.ContainerStateTerminated{FinishedAt: now}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: exit}}}
			switch pod.Spec.Containers[0].Image {
			case "done":
				pod.Status.Phase = corev1.PodSucceeded
			case "fails":
				pod.Status.Phase, exit.ExitCode = corev1.PodFailed, 3
			default:
				pod.Status.Phase = corev1.PodRunning
				pod.Status.ContainerStatuses = nil
				pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now})
			}
			return true, nil
		})
	})
	y.until("the service account", func() string {
		if _, err := y.Client.CoreV1().ServiceAccounts("default").Get(y.ctx, "default", metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	return y
}

// until waits until what returns nothing, and says what it returned last.
func (y *yard) until(what string, ask func() string) {
	y.t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		said := ask()
		if said == "" {
			return
		}
		if time.Since(begun) > 15*time.Second {
			y.t.Fatalf("waited 15 seconds for %s: %s", what, said)
		}
	}
}

func (y *yard) job(name, image string, change func(*batchv1.JobSpec)) *batchv1.Job {
	y.t.Helper()
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}}
	j.Spec.Template.Spec = corev1.PodSpec{
		NodeName: "n1", RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: image}},
	}
	if change != nil {
		change(&j.Spec)
	}
	j, err := y.Client.BatchV1().Jobs("default").Create(y.ctx, j, metav1.CreateOptions{})
	must(y.t, err)
	return j
}

// says waits until the job's status reads so.
func (y *yard) says(name, want string) *batchv1.Job {
	y.t.Helper()
	var j *batchv1.Job
	y.until("job "+name, func() string {
		var err error
		j, err = y.Client.BatchV1().Jobs("default").Get(y.ctx, name, metav1.GetOptions{})
		must(y.t, err)
		s := j.Status
		said := fmt.Sprintf("%d active %d succeeded %d failed", s.Active, s.Succeeded, s.Failed)
		if s.CompletedIndexes != "" {
			said += " [" + s.CompletedIndexes + "]"
		}
		for _, c := range s.Conditions {
			said += fmt.Sprintf(" %s=%s:%s", c.Type, c.Status, c.Reason)
		}
		if said == want {
			return ""
		}
		return said + ", want " + want
	})
	return j
}

func (y *yard) pods(job string) []corev1.Pod {
	list, err := y.Client.CoreV1().Pods("default").List(y.ctx, metav1.ListOptions{LabelSelector: "job-name=" + job})
	must(y.t, err)
	return list.Items
}

func (y *yard) patch(job, body string) {
	y.t.Helper()
	_, err := y.Client.BatchV1().Jobs("default").Patch(y.ctx, job, types.MergePatchType, []byte(body), metav1.PatchOptions{})
	must(y.t, err)
}

// events are what was said about a job, without names of pods.
func (y *yard) events(job string, want ...string) {
	y.t.Helper()
	y.until("the events of "+job, func() string {
		list, err := y.Client.CoreV1().Events("default").List(y.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + job + ",involvedObject.kind=Job"})
		must(y.t, err)
		var all []string
		for _, e := range list.Items {
			all = append(all, fmt.Sprintf("%s %s %s: %s", e.Source.Component, e.Type, e.Reason, e.Message))
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(all, "\n")+"\n", w) {
				return w + " is not among\n" + strings.Join(all, "\n")
			}
		}
		return ""
	})
}

// What jobs do, against the real API server: its validation of their status, the
// loop's rights, admission and the garbage collector.
func TestJobs(t *testing.T) {
	y := openYard(t)

	y.job("pi", "done", func(s *batchv1.JobSpec) { s.Completions, s.Parallelism = ptr.To(int32(5)), ptr.To(int32(2)) })
	j := y.says("pi", "0 active 5 succeeded 0 failed SuccessCriteriaMet=True:CompletionsReached Complete=True:CompletionsReached")
	if j.Status.CompletionTime == nil || j.Status.StartTime == nil || *j.Status.Ready != 0 || *j.Status.Terminating != 0 || len(y.pods("pi")) != 5 {
		t.Errorf("%+v", j.Status)
	}
	for _, pod := range y.pods("pi") {
		if len(pod.Finalizers) > 0 || pod.Labels["batch.kubernetes.io/job-name"] != "pi" || !*pod.OwnerReferences[0].Controller || !*pod.OwnerReferences[0].BlockOwnerDeletion || !strings.HasPrefix(pod.Name, "pi-") {
			t.Errorf("%+v", pod.ObjectMeta)
		}
	}
	y.events("pi", "job-controller Normal SuccessfulCreate: Created pod: pi-", "job-controller Normal Completed: Job completed\n")

	indexed := func(s *batchv1.JobSpec) {
		s.CompletionMode, s.Completions, s.Parallelism = ptr.To(batchv1.IndexedCompletion), ptr.To(int32(4)), ptr.To(int32(4))
	}
	y.job("parts", "done", indexed)
	y.says("parts", "0 active 4 succeeded 0 failed [0-3] SuccessCriteriaMet=True:CompletionsReached Complete=True:CompletionsReached")
	seen := map[string]bool{}
	for _, pod := range y.pods("parts") {
		index := pod.Annotations["batch.kubernetes.io/job-completion-index"]
		env := pod.Spec.Containers[0].Env
		if seen[index] || pod.Labels["batch.kubernetes.io/job-completion-index"] != index || pod.Spec.Hostname != "parts-"+index ||
			!strings.HasPrefix(pod.Name, "parts-"+index+"-") || len(env) != 1 || env[0].Name != "JOB_COMPLETION_INDEX" {
			t.Errorf("%+v %+v", pod.ObjectMeta, pod.Spec)
		}
		seen[index] = true
	}

	y.job("bad", "fails", func(s *batchv1.JobSpec) { s.BackoffLimit = ptr.To(int32(0)) })
	y.says("bad", "0 active 0 succeeded 1 failed FailureTarget=True:BackoffLimitExceeded Failed=True:BackoffLimitExceeded")
	y.events("bad", "job-controller Warning BackoffLimitExceeded: Job has reached the specified backoff limit\n")

	y.job("policy", "fails", func(s *batchv1.JobSpec) {
		s.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
			Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In", Values: []int32{3}},
		}}}
	})
	y.says("policy", "0 active 0 succeeded 1 failed FailureTarget=True:PodFailurePolicy Failed=True:PodFailurePolicy")

	y.job("slow", "runs", func(s *batchv1.JobSpec) { s.ActiveDeadlineSeconds = ptr.To(int64(1)) })
	y.says("slow", "0 active 0 succeeded 1 failed FailureTarget=True:DeadlineExceeded Failed=True:DeadlineExceeded")

	y.job("twice", "fails", func(s *batchv1.JobSpec) {
		indexed(s)
		s.Completions, s.Parallelism, s.BackoffLimitPerIndex = ptr.To(int32(2)), ptr.To(int32(2)), ptr.To(int32(0))
	})
	j = y.says("twice", "0 active 0 succeeded 2 failed FailureTarget=True:FailedIndexes Failed=True:FailedIndexes")
	if *j.Status.FailedIndexes != "0,1" {
		t.Errorf("failed indexes %s", *j.Status.FailedIndexes)
	}

	// Suspended, its pods go; resumed, they come again.
	y.job("pause", "runs", func(s *batchv1.JobSpec) { s.Parallelism, s.Completions = ptr.To(int32(2)), ptr.To(int32(2)) })
	y.says("pause", "2 active 0 succeeded 0 failed")
	y.patch("pause", `{"spec":{"suspend":true}}`)
	j = y.says("pause", "0 active 0 succeeded 0 failed Suspended=True:JobSuspended")
	y.until("its pods to go", func() string {
		if n := len(y.pods("pause")); n > 0 {
			return fmt.Sprint(n)
		}
		return ""
	})
	if j.Status.StartTime != nil {
		t.Errorf("a suspended job has started: %v", j.Status.StartTime)
	}
	y.patch("pause", `{"spec":{"suspend":false}}`)
	y.says("pause", "2 active 0 succeeded 0 failed Suspended=False:JobResumed")
	y.events("pause", "Normal Suspended: Job suspended\n", "Normal Resumed: Job resumed\n", "Normal SuccessfulDelete: Deleted pod: pause-")

	// Enough have succeeded: the others are stopped.
	y.job("enough", "runs", func(s *batchv1.JobSpec) {
		indexed(s)
		s.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: ptr.To("2-3"), SucceededCount: ptr.To(int32(1))}}}
	})
	y.says("enough", "4 active 0 succeeded 0 failed")
	for _, pod := range y.pods("enough") {
		if pod.Labels["batch.kubernetes.io/job-completion-index"] == "3" {
			_, err := y.Client.CoreV1().Pods("default").Patch(y.ctx, pod.Name, types.MergePatchType, []byte(`{"status":{"phase":"Succeeded"}}`), metav1.PatchOptions{}, "status")
			must(t, err)
		}
	}
	y.says("enough", "0 active 1 succeeded 0 failed [3] SuccessCriteriaMet=True:SuccessPolicy Complete=True:SuccessPolicy")

	// Deleted with its pods, or without; kept for a while, or not.
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground} {
		name := strings.ToLower(string(policy))
		y.job(name, "runs", nil)
		y.says(name, "1 active 0 succeeded 0 failed")
		must(t, y.Client.BatchV1().Jobs("default").Delete(y.ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy}))
		y.gone(name)
	}
	y.job("soon", "done", func(s *batchv1.JobSpec) { s.TTLSecondsAfterFinished = ptr.To(int32(1)) })
	y.gone("soon")
	y.job("other", "done", func(s *batchv1.JobSpec) { s.ManagedBy = ptr.To("example.org/other") })
	y.job("last", "done", nil)
	y.says("last", "0 active 1 succeeded 0 failed SuccessCriteriaMet=True:CompletionsReached Complete=True:CompletionsReached")
	if n := len(y.pods("other")); n > 0 {
		t.Errorf("a job of another controller has %d pods", n)
	}
}

// gone waits until nothing is left of a job.
func (y *yard) gone(name string) {
	y.t.Helper()
	y.until("job "+name+" to go", func() string {
		_, err := y.Client.BatchV1().Jobs("default").Get(y.ctx, name, metav1.GetOptions{})
		if n := len(y.pods(name)); !apierrors.IsNotFound(err) || n > 0 {
			return fmt.Sprint(err, n)
		}
		return ""
	})
}
