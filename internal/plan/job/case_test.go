package job

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/golden"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestCases runs the stories in testdata:
//
//	job completions=3 parallelism=2 [indexed] [limit=6] [perindex=1] [maxfailed=1] [suspended] [replace=Failed]
//	    [deadline=60] [onfailure] [deleting] [success=0-2/1] [rule=ACTION,exit,42] [rule=ACTION,condition,DisruptionTarget]
//	  NAME PHASE [index=0] [ready] [ending] [free] [marked] [exit=1] [ago=10s] [failures=2] [restarts=3]
//	plan          what Decide asks for; its status is the job's from now on
//	pods          other pods, without a new job
//	set WORDS     changes the job
func TestCases(t *testing.T) { golden.Stories(t, begin) }

func begin(t *testing.T) golden.Teller {
	f := Facts{Now: now}
	return func(command, words string, input []string) string {
		t.Helper()
		pods := func() {
			f.Pods = nil
			for _, line := range input {
				f.Pods = append(f.Pods, newPod(t, line))
			}
		}
		switch command {
		case "job":
			f = Facts{Now: now, Job: newJob()}
			change(t, f.Job, words)
			pods()
		case "pods":
			pods()
		case "set":
			change(t, f.Job, words)
		case "later":
			d, err := time.ParseDuration(words)
			if err != nil {
				t.Fatal(err)
			}
			f.Now = f.Now.Add(d)
		case "plan":
			p := Decide(f)
			said := describe(f, p)
			if Finished(f.Job) == nil {
				f.Job.Status, f.Backoff = p.Status, &p.Backoff
			}
			return said
		default:
			t.Fatalf("unknown command %q", command)
		}
		return ""
	}
}

func describe(f Facts, p Plan) string {
	var lines []string
	list := func(verb string, pods []*corev1.Pod) {
		for _, pod := range pods {
			lines = append(lines, verb+" "+pod.Name)
		}
	}
	list("remove", p.Remove)
	for _, c := range p.Create {
		line := "create"
		if c.Index != noIndex {
			line += fmt.Sprint(" ", c.Index)
		}
		if c.Replaces != nil {
			line += " for " + c.Replaces.Name
		}
		lines = append(lines, line)
	}
	if Changed(&f.Job.Status, &p.Status) {
		lines = append(lines, say(p.Status))
		for _, c := range p.Status.Conditions {
			if old := condition(&f.Job.Status, c.Type); old == nil || *old != c {
				lines = append(lines, fmt.Sprintf("%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message))
			}
		}
	}
	for _, e := range p.Events {
		lines = append(lines, fmt.Sprintf("event %s %s: %s", e.Type, e.Reason, e.Message))
	}
	list("stop", p.Stop)
	list("release", p.Release)
	if p.Again > 0 {
		lines = append(lines, "again in "+p.Again.String())
	}
	if lines == nil {
		lines = []string{"nothing"}
	}
	return strings.Join(lines, "\n") + "\n"
}

func say(s batchv1.JobStatus) string {
	text := fmt.Sprintf("status: %d active, %d ready, %d terminating, %d succeeded, %d failed", s.Active, *s.Ready, *s.Terminating, s.Succeeded, s.Failed)
	if s.CompletedIndexes != "" {
		text += ", completed " + s.CompletedIndexes
	}
	if s.FailedIndexes != nil {
		text += ", failed indexes " + *s.FailedIndexes
	}
	if u := s.UncountedTerminatedPods; len(u.Succeeded)+len(u.Failed) > 0 {
		text += fmt.Sprintf(", uncounted %v %v", u.Succeeded, u.Failed)
	}
	if s.StartTime == nil {
		text += ", not started"
	}
	return text
}

func newJob() *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "work"}}
	j.Spec.BackoffLimit, j.Spec.Parallelism = ptr.To(int32(6)), ptr.To(int32(1))
	j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return j
}

func change(t *testing.T, j *batchv1.Job, words string) {
	t.Helper()
	for word := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(word, "=")
		number, _ := strconv.Atoi(value)
		n := ptr.To(int32(number))
		switch key {
		case "completions":
			j.Spec.Completions = n
		case "parallelism":
			j.Spec.Parallelism = n
		case "indexed":
			j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		case "limit":
			j.Spec.BackoffLimit = n
		case "perindex":
			j.Spec.BackoffLimitPerIndex = n
		case "maxfailed":
			j.Spec.MaxFailedIndexes = n
		case "suspended":
			j.Spec.Suspend = ptr.To(true)
		case "resumed":
			j.Spec.Suspend = ptr.To(false)
		case "replace":
			j.Spec.PodReplacementPolicy = ptr.To(batchv1.PodReplacementPolicy(value))
		case "deadline":
			j.Spec.ActiveDeadlineSeconds = ptr.To(int64(number))
		case "onfailure":
			j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		case "deleting":
			j.DeletionTimestamp = &metav1.Time{Time: now}
		case "success":
			indexes, count, counted := strings.Cut(value, "/")
			rule := batchv1.SuccessPolicyRule{}
			if indexes != "" {
				rule.SucceededIndexes = &indexes
			}
			if counted {
				c, _ := strconv.Atoi(count)
				rule.SucceededCount = ptr.To(int32(c))
			}
			if j.Spec.SuccessPolicy == nil {
				j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{}
			}
			j.Spec.SuccessPolicy.Rules = append(j.Spec.SuccessPolicy.Rules, rule)
		case "rule":
			if j.Spec.PodFailurePolicy == nil {
				j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{}
			}
			parts := strings.Split(value, ",")
			rule := batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyAction(parts[0])}
			if parts[1] == "exit" {
				code, _ := strconv.Atoi(parts[2])
				rule.OnExitCodes = &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{int32(code)}}
			} else {
				rule.OnPodConditions = []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.PodConditionType(parts[2]), Status: corev1.ConditionTrue}}
			}
			j.Spec.PodFailurePolicy.Rules = append(j.Spec.PodFailurePolicy.Rules, rule)
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
}

func newPod(t *testing.T, line string) *corev1.Pod {
	t.Helper()
	words := strings.Fields(line)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: words[0], UID: types.UID(words[0]), Finalizers: []string{batchv1.JobTrackingFinalizer},
		Annotations: map[string]string{}, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour)),
	}}
	p.Status.Phase = corev1.PodPhase(words[1])
	ended := now
	exit := map[corev1.PodPhase]int{corev1.PodFailed: 1}[p.Status.Phase]
	status := corev1.ContainerStatus{Name: "c"}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		number, _ := strconv.Atoi(value)
		switch key {
		case "index":
			p.Annotations[batchv1.JobCompletionIndexAnnotation] = value
		case "ready":
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		case "target":
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
		case "ending":
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: now.Add(30 * time.Second)}, ptr.To(int64(30))
		case "free":
			p.Finalizers = nil
		case "marked":
			p.Annotations[Discard] = "true"
		case "exit":
			exit = number
		case "ago":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			ended = now.Add(-d)
		case "failures":
			p.Annotations[batchv1.JobIndexFailureCountAnnotation] = value
		case "restarts":
			status.RestartCount = int32(number)
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		status.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: int32(exit), FinishedAt: metav1.NewTime(ended)}
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	return p
}
