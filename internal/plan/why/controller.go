package why

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// ofPods are the answers about the pods of a controller.
func (f *Facts) ofPods(uid types.UID) []Answer {
	var answers []Answer
	for _, pod := range controlledBy(f.Pods, uid) {
		answers = append(answers, f.pod(pod)...)
	}
	return answers
}

// cannotMake is the last refusal that a controller has told of, unless it has
// made something since.
func (f *Facts) cannotMake(kind, name string, uid types.UID, what string) []Answer {
	failed := f.events(kind, name, uid, "FailedCreate")
	if len(failed) == 0 {
		return nil
	}
	e := failed[0]
	if made := f.events(kind, name, uid, "SuccessfulCreate"); len(made) > 0 && !last(e).After(last(made[0])) {
		return nil
	}
	message := e.Message
	if _, after, ok := strings.Cut(message, ": "); ok {
		message = after // "Error creating: "
	}
	return []Answer{f.refusedBy(kind, name, what, message, first(e))}
}

// refusedBy says that what a controller makes is refused.
func (f *Facts) refusedBy(kind, name, what, message string, since time.Time) Answer {
	a := Refused(f, what+"/"+name, message)
	a.Object, a.Since = strings.ToLower(kind)+"/"+name, at(since)
	a.Sentence = fmt.Sprintf("%s %s cannot make its %ss: %s", kind, name, what, brief(message))
	return a
}

// replicaSet says what a ReplicaSet waits for.
func (f *Facts) replicaSet(rs *appsv1.ReplicaSet) ([]Answer, string) {
	answers := f.ofPods(rs.UID)
	for _, c := range rs.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			answers = append(answers, f.refusedBy("ReplicaSet", rs.Name, "pod", c.Message, c.LastTransitionTime.Time))
		}
	}
	return answers, fmt.Sprintf("%d of %s available", rs.Status.AvailableReplicas, count(int(ptr.Deref(rs.Spec.Replicas, 1)), "pod"))
}

// daemonSet says what a DaemonSet waits for.
func (f *Facts) daemonSet(ds *appsv1.DaemonSet) ([]Answer, string) {
	object := "daemonset/" + ds.Name
	s := &ds.Status
	answers := append(f.ofPods(ds.UID), f.cannotMake("DaemonSet", ds.Name, ds.UID, "pod")...)
	switch {
	case s.ObservedGeneration < ds.Generation:
		answers = append(answers, Answer{
			Reason: ControllerBehind, Object: object, Passes: Yes,
			Sentence: fmt.Sprintf("the DaemonSet controller has seen generation %d of %s, the set is at %d", s.ObservedGeneration, ds.Name, ds.Generation),
			Next:     f.command("get %s --watch", object),
		})
	case ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType && s.UpdatedNumberScheduled < s.CurrentNumberScheduled:
		answers = append(answers, Answer{
			Reason: OnDelete, Object: object, Passes: No,
			Sentence: fmt.Sprintf("%d of the %s of DaemonSet %s are replaced when they are deleted (updateStrategy OnDelete)", s.CurrentNumberScheduled-s.UpdatedNumberScheduled, count(int(s.CurrentNumberScheduled), "pod"), ds.Name),
			Next:     f.command("delete pod POD"),
		})
	case s.DesiredNumberScheduled == 0:
		return answers, "no node is to have its pod"
	}
	return answers, fmt.Sprintf("%d of %s available", s.NumberAvailable, count(int(s.DesiredNumberScheduled), "pod"))
}

// cronJob says what keeps a CronJob from making its next job.
func (f *Facts) cronJob(c *batchv1.CronJob) ([]Answer, string) {
	object := "cronjob/" + c.Name
	summary := "it has never been due"
	if at := c.Status.LastScheduleTime; at != nil {
		summary = "it was last due at " + at.UTC().Format(time.RFC3339)
	}
	if ptr.Deref(c.Spec.Suspend, false) {
		return []Answer{{
			Reason: Paused, Object: object, Passes: No, Sentence: fmt.Sprintf("CronJob %s is suspended", c.Name),
			Next: f.command(`patch %s --type=merge -p '{"spec":{"suspend":false}}'`, object),
		}}, summary
	}
	answers := f.cannotMake("CronJob", c.Name, c.UID, "job")
	for _, j := range controlledBy(f.Jobs, c.UID) {
		if j.Status.CompletionTime != nil || !active(c, j) {
			continue
		}
		waits, _ := f.job(j)
		answers = append(answers, waits...)
		if c.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent {
			answers = append(answers, Answer{
				Reason: PreviousRuns, Object: object, Since: at(cmp.Or(j.Status.StartTime, &j.CreationTimestamp).Time), Follows: len(waits) > 0, Passes: Yes,
				Sentence: fmt.Sprintf("CronJob %s makes no other job while %s runs (concurrencyPolicy Forbid)", c.Name, j.Name),
				Next:     f.command("describe job %s", j.Name),
			})
		}
	}
	return answers, summary
}

// active reports whether the CronJob counts the job as running.
func active(c *batchv1.CronJob, j *batchv1.Job) bool {
	for _, r := range c.Status.Active {
		if r.UID == j.UID {
			return true
		}
	}
	return false
}

// autoscaler says why an autoscaler does not scale, from its conditions.
func (f *Facts) autoscaler(h *autoscalingv2.HorizontalPodAutoscaler) ([]Answer, string) {
	object := "horizontalpodautoscaler/" + h.Name
	var answers []Answer
	for _, c := range h.Status.Conditions {
		a := Answer{Object: object, Since: at(c.LastTransitionTime.Time), Passes: Unknown, Next: f.command("describe %s", object)}
		switch {
		case c.Type == autoscalingv2.ScalingActive && c.Status == corev1.ConditionFalse && c.Reason == "ScalingDisabled":
			a.Reason, a.Passes = Paused, No
			a.Sentence = fmt.Sprintf("HorizontalPodAutoscaler %s rests: its target is scaled to zero", h.Name)
			a.Next = f.command("scale %s/%s --replicas=1", strings.ToLower(h.Spec.ScaleTargetRef.Kind), h.Spec.ScaleTargetRef.Name)
		case (c.Type == autoscalingv2.ScalingActive || c.Type == autoscalingv2.AbleToScale) && c.Status == corev1.ConditionFalse:
			a.Reason = NotScaling
			a.Sentence = fmt.Sprintf("HorizontalPodAutoscaler %s cannot scale%s", h.Name, because(c.Reason, c.Message))
		case c.Type == autoscalingv2.ScalingLimited && c.Status == corev1.ConditionTrue && c.Reason == "TooManyReplicas":
			a.Reason, a.Passes = MostReplicas, No
			a.Sentence = fmt.Sprintf("HorizontalPodAutoscaler %s wants more replicas than its maxReplicas, %d", h.Name, h.Spec.MaxReplicas)
			a.Next = f.command(`patch %s --type=merge -p '{"spec":{"maxReplicas":%d}}'`, object, h.Spec.MaxReplicas+1)
		default:
			continue
		}
		answers = append(answers, a)
	}
	return answers, fmt.Sprintf("%s, %d wanted", count(int(h.Status.CurrentReplicas), "replica"), h.Status.DesiredReplicas)
}
