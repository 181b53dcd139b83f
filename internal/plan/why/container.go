package why

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/duration"
)

// containers says what is wrong with a pod's containers: the init container
// that is at work, else every other one that is not ready.
func (f *Facts) containers(pod *corev1.Pod) []Answer {
	for i := range pod.Status.InitContainerStatuses {
		st := &pod.Status.InitContainerStatuses[i]
		if done := st.State.Terminated; done != nil && done.ExitCode == 0 || st.Ready || st.Started != nil && *st.Started {
			continue
		}
		if a, ok := f.initContainer(pod, st); ok {
			return []Answer{a}
		}
		if st.State.Running != nil {
			return []Answer{f.comingUp(pod, "init container "+st.Name+" runs")}
		}
		return nil
	}
	var answers []Answer
	for i := range pod.Status.ContainerStatuses {
		st := &pod.Status.ContainerStatuses[i]
		if a, ok := f.container(pod, st); ok {
			answers = append(answers, a)
		}
	}
	return answers
}

// initContainer is an init container that does not get on.
func (f *Facts) initContainer(pod *corev1.Pod, st *corev1.ContainerStatus) (Answer, bool) {
	a, ok := f.container(pod, st)
	switch {
	case !ok:
		return a, false
	case a.Reason == CrashLoop:
		a.Reason = InitFails
		a.Sentence = "init " + a.Sentence
	}
	return a, true
}

// container says what keeps one container from being ready.
func (f *Facts) container(pod *corev1.Pod, st *corev1.ContainerStatus) (Answer, bool) {
	a := Answer{Object: ref(pod), Since: at(notReadySince(pod))}
	spec := containerNamed(pod, st.Name)
	switch {
	case spec == nil:
		return a, false
	case st.State.Waiting != nil:
		return f.waiting(pod, spec, st, a)
	case st.State.Terminated != nil:
		return f.crashed(pod, st, st.State.Terminated, a), st.State.Terminated.ExitCode != 0
	}
	return f.running(pod, spec, st, a)
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	for _, all := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range all {
			if all[i].Name == name {
				return &all[i]
			}
		}
	}
	return nil
}

func (f *Facts) waiting(pod *corev1.Pod, spec *corev1.Container, st *corev1.ContainerStatus, a Answer) (Answer, bool) {
	reason, message := st.State.Waiting.Reason, brief(st.State.Waiting.Message)
	a.Passes = No
	switch {
	case reason == "InvalidImageName":
		a.Reason = InvalidImageName
		a.Sentence = fmt.Sprintf("container %s of pod %s cannot start: %q is no valid image name", spec.Name, pod.Name, spec.Image)
		a.Change = f.inContainer(pod, spec.Name, "image")
		a.Next = f.fixImage(pod, spec.Name)
	case imageTrouble(reason):
		if secret := f.missingPullSecret(pod); secret != "" {
			a.Reason = PullSecretMissing
			a.Sentence = fmt.Sprintf("container %s of pod %s cannot start: image %s is not there, and Secret %s to pull it with does not exist", spec.Name, pod.Name, spec.Image, secret)
			a.Next = f.command("create secret docker-registry %s --docker-server=SERVER --docker-username=USER --docker-password=PASSWORD", secret)
			break
		}
		a.Reason = ImageNotThere
		a.Sentence = fmt.Sprintf("container %s of pod %s cannot start: image %s is not there%s", spec.Name, pod.Name, spec.Image, because(reason, message))
		a.Change = f.inContainer(pod, spec.Name, "image")
		a.Next = f.fixImage(pod, spec.Name)
	case reason == "CreateContainerConfigError":
		a.Reason = ConfigMissing
		a.Sentence = fmt.Sprintf("container %s of pod %s cannot start: %s", spec.Name, pod.Name, message)
		a.Next = f.createMissing(message)
		if a.Next == "" {
			a.Reason, a.Next = ContainerNotCreated, f.fixTemplate(pod)
		}
	case reason == "RunContainerError" || reason == "PostStartHookError" || strings.HasPrefix(reason, "CreateContainer"):
		a.Reason = ContainerNotCreated
		a.Sentence = fmt.Sprintf("container %s of pod %s cannot start%s", spec.Name, pod.Name, because(reason, message))
		a.Change = f.inContainer(pod, spec.Name, "command")
		a.Next = f.fixTemplate(pod)
	case reason == "CrashLoopBackOff":
		if ended := st.LastTerminationState.Terminated; ended != nil {
			return f.crashed(pod, st, ended, a), true
		}
		a.Reason, a.Passes = CrashLoop, Unknown
		a.Sentence = fmt.Sprintf("container %s of pod %s ends again and again (%s): %s", spec.Name, pod.Name, times(st.RestartCount), message)
		a.Next = f.command("logs %s -c %s --previous", pod.Name, spec.Name)
	default:
		return a, false
	}
	return a, true
}

func imageTrouble(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
		return true
	}
	return false
}

// missingPullSecret is a Secret that the pod wants to pull with and that is not there.
func (f *Facts) missingPullSecret(pod *corev1.Pod) string {
	for _, s := range pod.Spec.ImagePullSecrets {
		if f.Secrets != nil && !f.Secrets[s.Name] {
			return s.Name
		}
	}
	return ""
}

func times(n int32) string {
	if n == 1 {
		return "1 restart"
	}
	return fmt.Sprintf("%d restarts", n)
}

// crashed is a container that has ended and is to run again.
func (f *Facts) crashed(pod *corev1.Pod, st *corev1.ContainerStatus, ended *corev1.ContainerStateTerminated, a Answer) Answer {
	a.Since = at(f.failingSince(pod, ended.FinishedAt.Time))
	a.Next = f.command("logs %s -c %s --previous", pod.Name, st.Name)
	if st.State.Terminated != nil {
		a.Next = f.command("logs %s -c %s", pod.Name, st.Name)
	}
	if ended.Reason == "OOMKilled" {
		a.Reason, a.Passes = OutOfMemory, No
		limit, raised := memoryLimit(pod, st.Name)
		a.Sentence = fmt.Sprintf("container %s of pod %s was killed for want of memory (OOMKilled, exit code %d, %s); its limit is %s",
			st.Name, pod.Name, ended.ExitCode, times(st.RestartCount), limit)
		a.Change = f.inContainer(pod, st.Name, "resources.limits.memory")
		a.Next = f.fixResources(pod, st.Name, "limits", "memory", raised)
		return a
	}
	for _, kind := range []struct {
		word   string
		reason Reason
	}{{"Liveness", LivenessProbeFails}, {"Startup", StartupProbeFails}} {
		if e := f.unhealthy(pod, st.Name, kind.word); e != nil && ended.FinishedAt.Sub(last(e)).Abs() < staleAfter {
			a.Reason, a.Passes, a.Since = kind.reason, Unknown, at(first(e))
			a.Sentence = fmt.Sprintf("container %s of pod %s is restarted by its %s probe (%s): %s",
				st.Name, pod.Name, strings.ToLower(kind.word), times(st.RestartCount), brief(e.Message))
			a.Change = f.inContainer(pod, st.Name, strings.ToLower(kind.word)+"Probe")
			return a
		}
	}
	a.Reason, a.Passes = CrashLoop, Unknown
	a.Sentence = fmt.Sprintf("container %s of pod %s ends again and again: last with exit code %d%s (%s)",
		st.Name, pod.Name, ended.ExitCode, because(ended.Reason, ended.Message), times(st.RestartCount))
	if ended.ExitCode == 0 {
		a.Sentence = fmt.Sprintf("container %s of pod %s ends by itself (exit code 0), though it is meant to run on (%s)", st.Name, pod.Name, times(st.RestartCount))
		a.Next = f.fixTemplate(pod)
	}
	return a
}

// keepsEnding is a container that runs for the moment: it was restarted several
// times, and has not run for longer than it takes to fail again.
func (f *Facts) keepsEnding(st *corev1.ContainerStatus) bool {
	const restarts = 3
	ended, runs := st.LastTerminationState.Terminated, st.State.Running
	if ended == nil || runs == nil || st.RestartCount < restarts || ended.ExitCode == 0 {
		return false
	}
	lasted := ended.FinishedAt.Sub(ended.StartedAt.Time)
	return f.Now.Sub(runs.StartedAt.Time) < max(2*lasted, time.Minute) && f.Now.Sub(runs.StartedAt.Time) < staleAfter
}

// failingSince is when a container began to end again and again.
func (f *Facts) failingSince(pod *corev1.Pod, ended time.Time) time.Time {
	since := notReadySince(pod)
	for _, e := range f.events("Pod", pod.Name, pod.UID, "BackOff") {
		if t := first(e); t.Before(since) && f.Now.Sub(last(e)) < staleAfter {
			since = t
		}
	}
	if since.IsZero() {
		return ended
	}
	return since
}

// memoryLimit is a container's limit and twice of it.
func memoryLimit(pod *corev1.Pod, container string) (limit, raised string) {
	spec := containerNamed(pod, container)
	if spec == nil {
		return "not known", "AMOUNT"
	}
	have, ok := spec.Resources.Limits[corev1.ResourceMemory]
	if !ok {
		return "not set: the node itself ran out", "AMOUNT"
	}
	return have.String(), resource.NewQuantity(2*have.Value(), have.Format).String()
}

// unhealthy is the newest event about a failed probe of the container.
func (f *Facts) unhealthy(pod *corev1.Pod, container, probe string) *corev1.Event {
	for _, e := range f.events("Pod", pod.Name, pod.UID, "Unhealthy", "ProbeWarning") {
		if strings.HasPrefix(e.Message, probe+" probe ") && strings.Contains(e.InvolvedObject.FieldPath, "{"+container+"}") {
			return e
		}
	}
	return nil
}

// running is a container that runs and is not ready, or that its liveness probe
// keeps restarting.
func (f *Facts) running(pod *corev1.Pod, spec *corev1.Container, st *corev1.ContainerStatus, a Answer) (Answer, bool) {
	a.Passes = Unknown
	a.Next = f.command("logs %s -c %s", pod.Name, st.Name)
	started := time.Time{}
	if st.State.Running != nil {
		started = st.State.Running.StartedAt.Time
	}
	if e := f.unhealthy(pod, st.Name, "Liveness"); e != nil && st.RestartCount > 0 && f.Now.Sub(last(e)) < staleAfter {
		a.Reason, a.Since = LivenessProbeFails, at(first(e))
		a.Sentence = fmt.Sprintf("container %s of pod %s is restarted by its liveness probe (%s): %s", st.Name, pod.Name, times(st.RestartCount), brief(e.Message))
		a.Change = f.inContainer(pod, st.Name, "livenessProbe")
		a.Next = f.command("logs %s -c %s --previous", pod.Name, st.Name)
		return a, true
	}
	if f.keepsEnding(st) {
		a = f.crashed(pod, st, st.LastTerminationState.Terminated, a)
		a.Sentence += fmt.Sprintf("; it has been running again for %s", duration.HumanDuration(f.Now.Sub(started)))
		return a, true
	}
	if st.Ready {
		return a, false
	}
	if spec.StartupProbe != nil && (st.Started == nil || !*st.Started) {
		if e := f.unhealthy(pod, st.Name, "Startup"); e != nil && !last(e).Before(started) {
			a.Reason, a.Since = StartupProbeFails, at(started)
			a.Sentence = fmt.Sprintf("container %s of pod %s has not passed its startup probe (%s): %s", st.Name, pod.Name, times(st.RestartCount), brief(e.Message))
			a.Change = f.inContainer(pod, st.Name, "startupProbe")
			return a, true
		}
		return f.comingUp(pod, "container "+st.Name+" has not passed its startup probe yet"), true
	}
	if spec.ReadinessProbe == nil {
		return a, false
	}
	if e := f.unhealthy(pod, st.Name, "Readiness"); e != nil && !last(e).Before(started) {
		a.Reason = ReadinessProbeFails
		a.Sentence = fmt.Sprintf("container %s of pod %s runs, but its readiness probe fails: %s", st.Name, pod.Name, brief(e.Message))
		a.Change = f.inContainer(pod, st.Name, "readinessProbe")
		return a, true
	}
	if !started.IsZero() && f.Now.Sub(started) > staleAfter {
		a.Reason = ReadinessProbeFails
		a.Sentence = fmt.Sprintf("container %s of pod %s runs, but has not passed its readiness probe", st.Name, pod.Name)
		a.Change = f.inContainer(pod, st.Name, "readinessProbe")
		return a, true
	}
	return f.comingUp(pod, "container "+st.Name+" has not passed its readiness probe yet"), true
}
