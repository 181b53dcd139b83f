package why

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// deployment says what a Deployment waits for, from its conditions and pods.
func (f *Facts) deployment(d *appsv1.Deployment) ([]Answer, string) {
	object := "deployment/" + d.Name
	var answers []Answer
	wanted := ptr.Deref(d.Spec.Replicas, 1)
	for _, rs := range controlledBy(f.ReplicaSets, d.UID) {
		for _, pod := range controlledBy(f.Pods, rs.UID) {
			answers = append(answers, f.pod(pod)...)
		}
	}
	if d.Spec.Paused && d.Status.UpdatedReplicas < wanted {
		answers = append(answers, Answer{
			Reason: Paused, Object: object, Passes: No,
			Sentence: fmt.Sprintf("the rollout of Deployment %s is paused", d.Name), Next: f.command("rollout resume %s", object),
		})
	}
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			a := Refused(f, "pod/"+d.Name, c.Message)
			a.Object, a.Since = object, at(c.LastTransitionTime.Time)
			a.Sentence = fmt.Sprintf("Deployment %s cannot make its pods: %s", d.Name, brief(c.Message))
			answers = append(answers, a)
		case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded":
			answers = append(answers, Answer{
				Reason: ProgressDeadline, Object: object, Since: at(c.LastTransitionTime.Time), Passes: Unknown, Follows: true,
				Sentence: fmt.Sprintf("Deployment %s has passed its progress deadline: %s", d.Name, brief(c.Message)),
				Next:     f.command("describe %s", object),
			})
		}
	}
	return answers, fmt.Sprintf("%d of %s available", d.Status.AvailableReplicas, count(int(wanted), "pod"))
}

// job says what a Job waits for.
func (f *Facts) job(j *batchv1.Job) ([]Answer, string) {
	object := "job/" + j.Name
	for _, c := range j.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete:
			return nil, "it is complete"
		case c.Type == batchv1.JobFailed:
			return []Answer{{
				Reason: JobFailed, Object: object, Since: at(c.LastTransitionTime.Time), Passes: No,
				Sentence: fmt.Sprintf("Job %s has failed%s", j.Name, because(c.Reason, c.Message)),
				Next:     f.command("logs %s", object),
			}}, "it has failed"
		}
	}
	if ptr.Deref(j.Spec.Suspend, false) {
		return []Answer{{
			Reason: Paused, Object: object, Passes: No, Sentence: fmt.Sprintf("Job %s is suspended", j.Name),
			Next: f.command(`patch %s --type=merge -p '{"spec":{"suspend":false}}'`, object),
		}}, "it is suspended"
	}
	answers := f.cannotMake("Job", j.Name, j.UID, "pod")
	for _, pod := range controlledBy(f.Pods, j.UID) {
		if pod.Status.Phase != corev1.PodFailed { // it is tried again
			answers = append(answers, f.pod(pod)...)
		}
	}
	return answers, fmt.Sprintf("%d active, %d succeeded, %d failed", j.Status.Active, j.Status.Succeeded, j.Status.Failed)
}
