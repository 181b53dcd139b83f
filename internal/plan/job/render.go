package job

import (
	"fmt"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/podtemplate"
)

const (
	indexEnv = "JOB_COMPLETION_INDEX"
	// longestPrefix is what a name has room for before its random part.
	longestPrefix = 63 - 5
)

// NewPod renders a pod of the job; the API server completes its name.
func NewPod(job *batchv1.Job, what Pod, owner metav1.OwnerReference) *corev1.Pod {
	pod := podtemplate.Pod(job, &job.Spec.Template, owner)
	if !slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer) {
		pod.Finalizers = append(pod.Finalizers, batchv1.JobTrackingFinalizer)
	}
	if what.Index == noIndex {
		return pod
	}
	index := strconv.Itoa(what.Index)
	for _, m := range []*map[string]string{&pod.Labels, &pod.Annotations} {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[batchv1.JobCompletionIndexAnnotation] = index
	}
	pod.Spec.Hostname = fmt.Sprintf("%s-%d", job.Name, what.Index)
	end := "-" + index + "-"
	pod.GenerateName = job.Name[:min(len(job.Name), longestPrefix-len(end))] + end
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			giveIndex(&containers[i])
		}
	}
	if job.Spec.BackoffLimitPerIndex != nil {
		counted, ignored := nextFailures(job, what.Replaces)
		pod.Annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(int(counted))
		if ignored > 0 {
			pod.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(int(ignored))
		}
	}
	return pod
}

// giveIndex tells the container which index it is to work on.
func giveIndex(c *corev1.Container) {
	if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == indexEnv }) {
		return
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: indexEnv, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{
		FieldPath: fmt.Sprintf("metadata.labels['%s']", batchv1.JobCompletionIndexAnnotation),
	}}})
}

// nextFailures are how often the index has failed, with the pod that is replaced.
func nextFailures(job *batchv1.Job, replaced *corev1.Pod) (counted, ignored int32) {
	if replaced == nil {
		return 0, 0
	}
	counted, ignored = failures(replaced)
	if judge(job.Spec.PodFailurePolicy, replaced).ignored() {
		return counted, ignored + 1
	}
	return counted + 1, ignored
}
